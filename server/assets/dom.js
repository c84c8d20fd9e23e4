// The few verbs with which the scripts write into the page. Text is always text: nothing here
// parses markup, and nothing elsewhere but console.js, which parses the server's own pages.

/** An element with attributes and children; strings become text. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(attribute, '');
    else if (value !== false && value !== null) made.setAttribute(attribute, value);
  }
  made.append(...children);
  return made;
}

/** A button that only acts through its listener. */
export function button(text, act, attributes = {}) {
  const made = element('button', { type: 'button', class: 'quiet', ...attributes }, text);
  made.addEventListener('click', act);
  return made;
}

/** Puts children in the place of all others. */
export function fill(parent, ...children) {
  parent.replaceChildren(...children);
}

/** Copies a text; where the clipboard is closed to the page, by way of a selection. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element('textarea', { class: 'off-screen', 'aria-hidden': 'true' });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    return done;
  }
}

/** A text in a box, with a button that copies it. */
export function copyable(name, text) {
  const said = element('span', { role: 'status', class: 'soft' });
  const act = async () => {
    said.textContent = (await copy(text)) ? 'Copied.' : 'The browser does not let this page copy.';
    setTimeout(() => { said.textContent = ''; }, 2000);
  };
  return element('div', { class: 'copyable' },
    element('p', { class: 'copybar' }, button('Copy', act, { 'aria-label': `Copy: ${name}` }), ' ', said),
    element('pre', { dir: 'ltr', tabindex: '0', role: 'region', 'aria-label': name }, text));
}

/** Shows what only works with scripts. */
export function showScripted(root = document) {
  for (const part of root.querySelectorAll('.scripted[hidden]')) part.hidden = false;
}
