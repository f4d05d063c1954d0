// A chosen theme must be known before the first paint, so this file is small, blocking, and not a
// module. It is not inline, so that a Content-Security-Policy need not allow inline scripts.
try {
  const theme = localStorage.getItem('cowrite:theme');
  if (theme === '"light"' || theme === '"dark"') {
    document.documentElement.dataset.theme = JSON.parse(theme);
  }
} catch {
  // A browser that blocks storage follows the system's theme.
  delete document.documentElement.dataset.theme;
}
