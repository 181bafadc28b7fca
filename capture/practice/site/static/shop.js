"use strict";
// Pictures below the fold are asked for only when they come into view, as in
// most shops: a capture that does not scroll misses them.
const late = new IntersectionObserver((seen) => {
  for (const s of seen) {
    if (!s.isIntersecting) continue;
    late.unobserve(s.target);
    s.target.src = s.target.dataset.src;
    s.target.classList.remove("late");
  }
});
document.querySelectorAll("img[data-src]").forEach((img) => late.observe(img));

const card = (g) => {
  const a = document.createElement("a");
  a.className = "card";
  a.href = "/product/" + g.id;
  const pic = document.createElement("span");
  pic.className = "pic";
  const img = document.createElement("img");
  Object.assign(img, { src: "/pic/" + g.pic + "?from=recommend", alt: g.name, width: 520, height: 520 });
  pic.append(img);
  const name = document.createElement("b");
  name.textContent = g.name;
  const cost = document.createElement("span");
  cost.className = "cost";
  const em = document.createElement("em");
  em.textContent = "¥" + g.price;
  cost.append(em);
  a.append(pic, name, cost);
  return a;
};

const box = document.getElementById("recommend");
if (box) {
  const once = new IntersectionObserver(async (seen) => {
    if (!seen.some((s) => s.isIntersecting)) return;
    once.disconnect();
    const answer = await fetch(box.dataset.from);
    const goods = await answer.json();
    box.replaceChildren(...goods.map(card));
  });
  once.observe(box);
}
