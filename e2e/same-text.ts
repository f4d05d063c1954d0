/** The same line in the types of all the editors of docs/editors.md, as their bindings write it. */
import * as Y from 'yjs';

/** @param doc holds nothing of these yet */
export function writeForAll(doc: Y.Doc, line: string): void {
  const text = () => new Y.XmlText(line);
  doc.transact(() => {
    doc.getXmlFragment('prosemirror').insert(0, [element('paragraph', {}, text())]);
    const attributes = { backgroundColor: 'default', textColor: 'default', textAlignment: 'left' };
    const block = element('blockContainer', { id: 'a' }, element('paragraph', attributes, text()));
    doc.getXmlFragment('blocknote').insert(0, [element('blockGroup', {}, block)]);
    doc.getText('quill').insert(0, line);
    doc.getText('monaco').insert(0, line);
    doc.get('slate', Y.XmlText).insertEmbed(0, text());
    const paragraph = new Y.XmlText();
    doc.get('root', Y.XmlText).insertEmbed(0, paragraph);
    paragraph.setAttribute('__type', 'paragraph');
    const properties = { __type: 'text', __format: 0, __style: '', __mode: 0, __detail: 0 };
    paragraph.insertEmbed(0, new Y.Map(Object.entries(properties)));
    paragraph.insert(1, line);
  });
}

function element(
  name: string,
  attributes: Readonly<Record<string, string>>,
  child: Y.XmlElement | Y.XmlText,
): Y.XmlElement {
  const made = new Y.XmlElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.insert(0, [child]);
  return made;
}
