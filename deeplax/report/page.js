// The page is whole without it. What was chosen stands in the address:
// #sort=classes.iou.down&view=error
'use strict';
(() => {
  const root = document.documentElement;
  const state = new Map();

  function readAddress() {
    state.clear();
    for (const part of location.hash.slice(1).split('&')) {
      const at = part.indexOf('=');
      if (at > 0) state.set(part.slice(0, at), decodeURIComponent(part.slice(at + 1)));
    }
  }

  function writeAddress() {
    const parts = [...state].map(([k, v]) => `${k}=${encodeURIComponent(v)}`);
    history.replaceState(null, '', `#${parts.join('&')}`);
  }

  // Tables: numbers begin with the largest, words with A; a third click
  // brings the order of the page back. What has no number is last.
  const tables = new Map();
  for (const table of document.querySelectorAll('table[data-sort]')) {
    tables.set(table.dataset.sort, { table, rows: [...table.tBodies[0].rows] });
  }

  function sort(name, key, direction) {
    const { table, rows } = tables.get(name);
    const heads = [...table.tHead.rows[0].cells];
    const column = heads.findIndex((head) => head.dataset.key === key);
    for (const head of heads) head.setAttribute('aria-sort', 'none');
    const sorted = [...rows];
    if (column >= 0 && direction) {
      const down = direction === 'down';
      const number = 'number' in heads[column].dataset;
      heads[column].setAttribute('aria-sort', down ? 'descending' : 'ascending');
      sorted.sort((a, b) => {
        const [x, y] = [a, b].map((row) => row.cells[column].dataset.value);
        if (x === '' || y === '') return (x === '') - (y === '');
        const order = number ? x - y : x.localeCompare(y);
        return down ? -order : order;
      });
    }
    table.tBodies[0].append(...sorted);
  }

  function show(view) {
    root.dataset.view = view;
    for (const button of document.querySelectorAll('[data-view][aria-pressed]')) {
      button.setAttribute('aria-pressed', String(button.dataset.view === view));
    }
  }

  const views = [...document.querySelectorAll('.switch [data-view]')].map((b) => b.dataset.view);

  function apply() {
    readAddress();
    const sorts = new Map();
    for (const one of (state.get('sort') || '').split(',')) {
      const [name, key, direction] = one.split('.');
      if (tables.has(name)) sorts.set(name, [key, direction]);
    }
    for (const name of tables.keys()) sort(name, ...(sorts.get(name) || ['', '']));
    const view = state.get('view');
    show(views.includes(view) ? view : 'prediction');
  }

  function chooseSort(name, head) {
    const number = 'number' in head.dataset;
    const order = number ? ['descending', 'ascending'] : ['ascending', 'descending'];
    const now = order.indexOf(head.getAttribute('aria-sort'));
    const next = { ascending: 'up', descending: 'down' }[order[now + 1]];
    const others = (state.get('sort') || '').split(',').filter((one) => one && one.split('.')[0] !== name);
    if (next) others.push(`${name}.${head.dataset.key}.${next}`);
    if (others.length) state.set('sort', others.join(','));
    else state.delete('sort');
    writeAddress();
    apply();
  }

  function chooseView(view) {
    state.set('view', view);
    writeAddress();
    apply();
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (!button) return;
    if (button.dataset.view) return chooseView(button.dataset.view);
    const head = button.closest('th');
    if (head) chooseSort(head.closest('table').dataset.sort, head);
  });
  document.addEventListener('keydown', (event) => {
    const view = views[event.key - 1];
    if (view && !event.ctrlKey && !event.metaKey && !event.altKey) chooseView(view);
  });

  // Links to the sections that there are; the address keeps what was chosen.
  const nav = document.querySelector('nav');
  for (const title of document.querySelectorAll('section[id] > h2')) {
    const link = document.createElement('a');
    link.href = `#${title.parentElement.id}`;
    link.textContent = title.textContent;
    link.addEventListener('click', (event) => {
      event.preventDefault();
      title.parentElement.scrollIntoView({ behavior: 'smooth' });
    });
    nav.append(link);
  }

  // On paper everything is open.
  let closed = [];
  addEventListener('beforeprint', () => {
    closed = [...document.querySelectorAll('details:not([open])')];
    for (const one of closed) one.open = true;
  });
  addEventListener('afterprint', () => {
    for (const one of closed) one.open = false;
  });

  addEventListener('hashchange', apply);
  apply();
})();
