// The Vue application: the goods of one list, with a filter, from two interfaces.
(() => {
  const { createApp, h, ref, computed, onMounted } = Vue;
  const place = document.getElementById('app');
  const visit = document.documentElement.dataset.visit;
  const ask = async url => (await fetch(url + '?v=' + visit)).json();

  const Good = {
    props: ['good'],
    setup: props => () => h('article', { class: 'card' }, [
      h('img', { src: props.good.picture + '?v=' + visit, loading: 'lazy', width: 288, height: 288, alt: props.good.name }),
      h('div', [h('h3', props.good.name), h('p', props.good.text), h('b', '￥' + props.good.price), h('i', ' 已售 ' + props.good.sold)]),
    ]),
  };

  createApp({
    setup() {
      const goods = ref([]);
      const facts = ref([]);
      const cheap = ref(false);
      const shown = computed(() => cheap.value ? goods.value.filter(g => g.price < 50) : goods.value);
      onMounted(async () => {
        const [g, f] = await Promise.all([ask(place.dataset.list), ask(place.dataset.facts)]);
        goods.value = g;
        facts.value = f;
      });
      return () => h('div', [
        h('p', [h('label', [h('input', { type: 'checkbox', onChange: e => { cheap.value = e.target.checked; } }), ' 五十元以下'])]),
        h('ul', facts.value.map(f => h('li', f))),
        h('section', { class: 'cards' }, shown.value.map(g => h(Good, { key: g.picture, good: g }))),
      ]);
    },
  }).mount(place);
})();
