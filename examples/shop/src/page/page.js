const $ = (id) => document.getElementById(id), cart = new Map();
const show = () => {
  let total = 0;
  $('cart').replaceChildren(...[...cart].map(([, item]) => {
    total += item.cents * item.quantity;
    const line = document.createElement('li'), name = document.createElement('span'), sum = document.createElement('span');
    name.textContent = `${item.quantity} × ${item.name}`;
    sum.textContent = (item.cents * item.quantity / 100).toFixed(2);
    line.append(name, sum);
    return line;
  }));
  $('total').textContent = (total / 100).toFixed(2);
  $('empty').hidden = cart.size > 0;
  $('order').disabled = cart.size === 0;
};
document.querySelectorAll('[data-id]').forEach((button) => button.onclick = () => {
  const { id, name, cents } = button.dataset, item = cart.get(id) ?? { name, cents: +cents, quantity: 0 };
  item.quantity += 1;
  cart.set(id, item);
  show();
});
$('order').onclick = async () => {
  const items = [...cart].map(([product, item]) => ({ product, quantity: item.quantity }));
  try {
    const answer = await fetch('/api/orders', { method: 'POST', body: JSON.stringify({ items, gift: !!$('gift')?.checked }) });
    if (!answer.ok) throw new Error(await answer.text());
    const order = await answer.json();
    cart.clear();
    show();
    $('said').textContent = `Thank you. ${order.by} took your order.`;
  } catch (error) { $('said').textContent = `That did not work: ${error.message}`; }
};
const shown = $('version').textContent, live = new EventSource('/api/events');
live.onmessage = (message) => {
  const now = JSON.parse(message.data);
  for (const key of ['orders', 'replica', 'release']) $(key).textContent = now[key];
  $('live').textContent = now.version === shown ? 'live' : `version ${now.version} is here: reload`;
};
live.onerror = () => $('live').textContent = 'connecting again';
show();
