// Back leads to the page before, not to the same page with a slider where it was: Streamlit makes an entry of the browser's
// history for each change of the address.

export default function () {
  if (history.pushState.keepsPages) return;
  const push = history.pushState.bind(history);
  history.pushState = (state, title, url) => {
    const samePage = new URL(url, location.href).pathname === location.pathname;
    (samePage ? history.replaceState.bind(history) : push)(state, title, url);
  };
  history.pushState.keepsPages = true;
}
