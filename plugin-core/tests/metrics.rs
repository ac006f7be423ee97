//! Metrics of plugins, under the test host.

use std::thread;
use websocket_plugin::testing::{Host, Request, unattached_log};
use websocket_plugin::{
    Close, Counter, CounterSeries, Gauge, Handshake, Histogram, Message, Plugin, Rejection, Sender,
    websocket_plugin,
};

static MOVES: Counter = Counter::new("moves", "Moves that were made").of::<Game>();
static PLAYERS: Gauge = Gauge::new("players", "Players in all rooms").of::<Game>();
static SIZES: Histogram = Histogram::new("size", "Sizes of moves", &[1.0, 10.0]).of::<Game>();

#[derive(Default)]
struct Game;

#[websocket_plugin]
impl Plugin for Game {
    type Connection = CounterSeries;

    fn on_connect(&self, _: &mut Handshake<'_>) -> Result<CounterSeries, Rejection> {
        PLAYERS.inc();
        Ok(MOVES.with(&[("room", "lobby")]))
    }

    fn on_message(
        &self,
        moves: &mut CounterSeries,
        _: &Sender,
        m: Message<'_>,
    ) -> Result<(), Close> {
        moves.inc();
        MOVES.add(2);
        if let Some(size) = m.as_text().and_then(|text| text.parse().ok()) {
            SIZES.observe(size);
        }
        Ok(())
    }
}

#[test]
fn tests_read_what_a_plugin_counts() {
    let hosts = [(); 2].map(|()| Host::load::<Game>());
    for host in &hosts {
        let mut client = host.connect(Request::new()).unwrap();
        for size in ["0.5", "1", "7", "100", "-1", "NaN", "inf"] {
            client.send(size);
        }
        PLAYERS.dec();
        PLAYERS.add(3);
    }
    assert_eq!(MOVES.value(), 28, "all hosts of the process count together");
    assert_eq!(MOVES.with(&[("room", "lobby")]).value(), 14);
    assert_eq!(MOVES.with(&[("room", "another")]).value(), 0);
    assert_eq!(PLAYERS.value(), 6);
    PLAYERS.set(-1);
    assert_eq!(PLAYERS.value(), -1);
    assert_eq!(SIZES.count(), 8);
    assert!((SIZES.sum() - 217.0).abs() < 1e-9);
}

#[test]
fn the_order_of_labels_does_not_matter() {
    let _host = Host::load::<Game>();
    static CAPTURES: Counter = Counter::new("captures", "Captures").of::<Game>();
    CAPTURES.with(&[("a", "1"), ("b", "2")]).inc();
    CAPTURES.with(&[("b", "2"), ("a", "1")]).inc();
    assert_eq!(CAPTURES.with(&[("a", "1"), ("b", "2")]).value(), 2);
}

#[test]
fn threads_count_together() {
    let _host = Host::load::<Game>();
    static STEPS: Counter = Counter::new("steps", "Steps").of::<Game>();
    static WAITS: Histogram = Histogram::new("wait", "Waits", Histogram::SECONDS).of::<Game>();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    STEPS.inc();
                    WAITS.observe(1.0);
                }
            });
        }
    });
    assert_eq!((STEPS.value(), WAITS.count()), (4000, 4000));
    assert!((WAITS.sum() - 4000.0).abs() < 1e-9);
}

#[test]
fn what_is_wrong_counts_nothing_and_the_log_says_why() {
    static BAD: [(Counter, &str); 4] = [
        (Counter::new("more-moves", "?").of::<Game>(), "letters"),
        (Counter::new("9moves", "?").of::<Game>(), "letters"),
        (Counter::new("moves_total", "?").of::<Game>(), "_total"),
        (Counter::new("mute", "").of::<Game>(), "help"),
    ];
    static EMPTY: Histogram = Histogram::new("empty", "?", &[]).of::<Game>();
    static DESCENDING: Histogram = Histogram::new("descending", "?", &[2.0, 1.0]).of::<Game>();
    static TWICE: Gauge = Gauge::new("moves", "Another kind of moves").of::<Game>();
    static GOOD: Counter = Counter::new("good", "Good ones").of::<Game>();
    let _host = Host::load::<Game>();
    let is_logged = |word: &str| {
        let log = unattached_log();
        let mut lines = log.iter().filter(|line| line.level == log::Level::Error);
        lines.any(|line| line.text.starts_with("[game] ") && line.text.contains(word))
    };
    for (bad, word) in &BAD {
        bad.inc();
        assert_eq!(bad.value(), 0, "{bad:?}");
        assert!(is_logged(
            &format!("{bad:?}")
                .replace("Counter(", "\"")
                .replace(')', "\"")
        ));
        assert!(is_logged(word), "{word}");
    }
    EMPTY.observe(1.0);
    DESCENDING.observe(1.0);
    assert_eq!((EMPTY.count(), DESCENDING.count()), (0, 0));
    MOVES.add(0);
    TWICE.inc();
    assert_eq!(TWICE.value(), 0);
    assert!(is_logged("another metric has the name \"game_moves\""));
    for label in ["", "a-b", "9", "__a"] {
        let series = GOOD.with(&[(label, "x")]);
        series.inc();
        assert_eq!(series.value(), 0, "{label:?}");
    }
    let twice = GOOD.with(&[("a", "1"), ("a", "2")]);
    twice.inc();
    assert_eq!(twice.value(), 0);
    assert!(is_logged("two labels called \"a\""));
    let odd = GOOD.with(&[("room", "a\"b\\c\n\u{0}<d>")]);
    odd.inc();
    assert_eq!(odd.value(), 1);
    assert_eq!(GOOD.with(&[("room", "a\"b\\c??<d>")]).value(), 1);
}
