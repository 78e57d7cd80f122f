"""Empty, long, with quotes, of other scripts: each is itself."""

from rows import hours, save, spine, times

WORDS = [
    "",
    " ",
    "a",
    "A",
    "\u00e9",
    "e\u0301",
    "\u65e5\u672c",
    "it's",
    'say "so"',
    "x" * 300,
    "a\tb",
]
FEATURES = ["counts:n", "counts:first"]


def write(folder):
    save(
        folder / "data" / "words.parquet",
        word=WORDS,
        ts=times([hours(i) for i in range(len(WORDS))]),
        n=list(range(len(WORDS))),
        first=[w[:1] for w in WORDS],
    )


def ask(store, answer):
    rows = spine([20] * len(WORDS), word=WORDS)
    answer("training", lambda: store.get_historical_features(rows, FEATURES).to_arrow())
    store.materialize(hours(0), hours(50))
    answer("online", lambda: store.get_online_features(FEATURES, {"word": WORDS}).to_dict())
    others = {"word": ["b", "a ", "\u65e5"]}
    answer("others", lambda: store.get_online_features(FEATURES, others).to_dict())
