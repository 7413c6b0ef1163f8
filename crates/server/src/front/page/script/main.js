// Connects the elements of the page with what they do.

/** Keeps the value of a field for as long as the tab is open. */
function remember(field) {
  try {
    field.value = sessionStorage.getItem(field.id) ?? field.value;
    field.addEventListener('change', () => sessionStorage.setItem(field.id, field.value));
  } catch {
    // A browser may forbid storage; the field then has its default.
  }
}

function onSubmit(form, act) {
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    act();
  });
}

function main() {
  fields.fill();
  remember($('ping-name'));
  remember($('ping-interval'));
  remember($('idle-most'));
  fields.service.addEventListener('input', () => fields.takeService());
  fields.host.addEventListener('change', () => fields.takeApart());
  $('connect-form').addEventListener('input', showChoice);
  $('connect-form').addEventListener('change', showChoice);
  draft.field.addEventListener('input', () => draft.typed());
  onSubmit($('connect-form'), () => talk.toggle());
  onSubmit($('send-form'), () => talk.send());
  onSubmit($('ping-form'), () => pinging.toggle());
  onSubmit($('idle-form'), () => idle.toggle());
  $('log-copy').addEventListener('click', () => log.copy());
  $('log-clear').addEventListener('click', () => log.clear());
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => charts.redraw());
  new ResizeObserver(() => charts.redraw()).observe($('ping-chart'));
  log.start();
  showChoice();
  state.start();
}

main();
