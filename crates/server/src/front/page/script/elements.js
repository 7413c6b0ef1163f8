// Access to the elements of the page. Text from outside enters them as text, never as markup.

const $ = (id) => document.getElementById(id);

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setPill(pill, state, text) {
  pill.dataset.state = state;
  put(pill, text);
}

function part(tag, text, className = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

function anchor(address) {
  const link = part('a', address);
  link.href = address;
  link.target = '_blank';
  link.rel = 'noopener noreferrer';
  return link;
}
