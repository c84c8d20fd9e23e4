// Search in the tree of operations, and in their list on the first page.

import { showScripted } from './dom.js';

/** Whether every word is somewhere in the text. */
export function matches(text, query) {
  const lower = text.toLowerCase();
  return query.toLowerCase().split(/\s+/).every((word) => lower.includes(word));
}

function search(query) {
  let found = 0;
  for (const branch of document.querySelectorAll('[data-branch]')) {
    let left = 0;
    for (const leaf of branch.querySelectorAll('[data-leaf]')) {
      leaf.hidden = !matches(leaf.dataset.text, query);
      if (!leaf.hidden) left += 1;
    }
    branch.hidden = left === 0;
    if (branch.closest('.tree')) found += left;
  }
  const count = document.getElementById('search-count');
  count.textContent = query.trim() === '' ? '' : `${found} found`;
}

if (typeof document !== 'undefined') {
  const field = document.getElementById('search');
  field.addEventListener('input', () => search(field.value));
  showScripted();
}
