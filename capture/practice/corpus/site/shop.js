// What the pages of the corpus do by themselves: show pictures when they come
// into view, ask for goods, and count the visit.
(() => {
  const root = document.documentElement;
  const visit = root.dataset.visit;
  const withVisit = url => url + '?v=' + visit;

  const watcher = new IntersectionObserver(entries => {
    for (const e of entries) {
      if (!e.isIntersecting) continue;
      watcher.unobserve(e.target);
      e.target.src = e.target.dataset.src;
      delete e.target.dataset.src;
    }
  }, { rootMargin: '200px 0px' });

  function card(good) {
    const a = document.createElement('article');
    a.className = 'card';
    const img = document.createElement('img');
    img.loading = 'lazy';
    img.width = img.height = 288;
    img.alt = good.name;
    img.src = withVisit(good.picture);
    const div = document.createElement('div');
    for (const [tag, text] of [['h3', good.name], ['p', good.text], ['b', '￥' + good.price], ['i', ' 已售 ' + good.sold]]) {
      const part = document.createElement(tag);
      part.textContent = text;
      div.append(part);
    }
    a.append(img, div);
    return a;
  }

  async function ask(url, way) {
    if (way !== 'xhr') return (await fetch(withVisit(url))).json();
    return new Promise((done, fail) => {
      const x = new XMLHttpRequest();
      x.responseType = 'json';
      x.onload = () => done(x.response);
      x.onerror = fail;
      x.open('GET', withVisit(url));
      x.send();
    });
  }

  async function load(place, url, way) {
    const goods = await ask(url, way);
    place.append(...goods.map(card));
  }

  document.querySelectorAll('img[data-src]').forEach(e => watcher.observe(e));
  document.querySelectorAll('section[data-list]').forEach(async e => {
    await load(e, e.dataset.list, e.dataset.way);
    if (e.dataset.more) await load(e, e.dataset.more, 'fetch');
  });

  // Sum up the catalogue, as the code of large shops works before it shows anything.
  root.dataset.catalogue = window.catalogue ? window.catalogue() : '';

  const count = root.dataset.count;
  if (count) {
    const body = JSON.stringify({ page: location.pathname, title: document.title, width: innerWidth });
    navigator.sendBeacon(withVisit(count), body);
    // The answer is read: one that is not keeps the network from being idle, and tools that wait for that from going on.
    fetch(withVisit('/api/visit'), { method: 'POST', headers: { 'Content-Type': 'application/json' }, body }).then(r => r.json());
  }
})();
