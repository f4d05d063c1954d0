/**
 * Makes a picture small enough to be a part of a document, which everybody loads as a whole. Loaded
 * when there is a first picture.
 */

const LONGEST_SIDE = 1600;
/** Each try makes it smaller; after the last one it is smaller than a stamp. */
const TRIES = 8;
const KEPT_AS_THEY_ARE = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp']);

/**
 * @param largest letters that its address may have
 * @returns its address; undefined if the browser cannot read it as a picture
 */
export async function shrinkImage(file: Blob, largest: number): Promise<string | undefined> {
  if (KEPT_AS_THEY_ARE.has(file.type) && file.size <= (largest * 3) / 4 - 100)
    return await addressOf(file);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    // Not a picture, or one of a kind that this browser does not know.
    return undefined;
  }
  let scale = Math.min(1, LONGEST_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d');
  if (!context) return undefined;
  for (let attempt = 0; attempt < TRIES; attempt++) {
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    const address = canvas.toDataURL('image/webp', 0.82);
    if (address.length <= largest) return address;
    scale *= 0.7;
  }
  return undefined;
}

function addressOf(file: Blob): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
