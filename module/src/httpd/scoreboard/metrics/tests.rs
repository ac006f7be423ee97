use super::catalog::{CELLS, Catalog, Cells, MOST_LABELLED_SERIES, MOST_SERIES, families};
use super::{Declared, Family, Kind, Refused, Value};
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

/// Memory of zeros, which nobody frees.
fn zeros<T>() -> &'static T {
    // SAFETY: both types consist of atomic numbers, for which zeros are a good value.
    Box::leak(unsafe { Box::<T>::new_zeroed().assume_init() })
}

fn declared(kind: Kind, name: &str, label: Option<&str>) -> Declared {
    Declared {
        kind,
        plugin: "game".into(),
        name: name.into(),
        help: format!("The {name}"),
        bounds: match kind {
            Kind::Histogram => vec![1.0, 2.5],
            _ => Vec::new(),
        },
        labels: label
            .map(|value| ("room".to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
    }
}

fn value(families: &[Family], name: &str, label: Option<&str>) -> Option<Value> {
    let family = families.iter().find(|family| family.name == name)?;
    let labels = declared(Kind::Counter, name, label).labels;
    let sample = family.samples.iter().find(|sample| sample.labels == labels);
    sample.map(|sample| sample.value.clone())
}

#[test]
fn a_series_keeps_its_cells_and_all_children_are_added_up() {
    let catalog = zeros::<Catalog>();
    let children = [zeros::<Cells>(), zeros::<Cells>()];
    let series = [
        declared(Kind::Counter, "moves", None),
        declared(Kind::Counter, "moves", Some("a")),
        declared(Kind::Histogram, "size", None),
        declared(Kind::Gauge, "players", None),
    ];
    for child in &children {
        let [moves, in_a, size, players] =
            [0, 1, 2, 3].map(|number| child.from(catalog.find_or_add(&series[number]).unwrap()));
        moves[0].fetch_add(2, Relaxed);
        in_a[0].fetch_add(1, Relaxed);
        size[0].store(4.5_f64.to_bits(), Relaxed);
        size[3].fetch_add(1, Relaxed);
        players[0].store((-3_i64).cast_unsigned(), Relaxed);
    }
    let all = families(catalog, &children);
    assert_eq!(value(&all, "moves", None), Some(Value::Counter(4)));
    assert_eq!(value(&all, "moves", Some("a")), Some(Value::Counter(2)));
    assert_eq!(value(&all, "players", None), Some(Value::Gauge(-6)));
    let counts = vec![0, 0, 2];
    let sizes = Value::Histogram { sum: 9.0, counts };
    assert_eq!(value(&all, "size", None), Some(sizes));
    assert_eq!(all[0].full_name, "game_moves");
    assert_eq!((all.len(), &*all[0].help), (3, "The moves"));
    children[0].clear_gauges(catalog);
    let all = families(catalog, &children);
    assert_eq!(value(&all, "players", None), Some(Value::Gauge(-3)));
    assert_eq!(value(&all, "moves", None), Some(Value::Counter(4)));
}

#[test]
fn a_name_belongs_to_one_metric() {
    let catalog = zeros::<Catalog>();
    let moves = declared(Kind::Histogram, "moves", None);
    catalog.find_or_add(&moves).unwrap();
    let kinds = [None, Some("a")].map(|label| declared(Kind::Gauge, "moves", label));
    let bounds = [None, Some("a")].map(|label| Declared {
        bounds: vec![1.0],
        ..declared(Kind::Histogram, "moves", label)
    });
    let other_plugin = Declared {
        plugin: "game_moves".into(),
        name: "fast".into(),
        ..moves
    };
    catalog.find_or_add(&other_plugin).unwrap();
    let same_full_name = declared(Kind::Histogram, "moves_fast", None);
    for taken in kinds.into_iter().chain(bounds).chain([same_full_name]) {
        assert_eq!(
            catalog.find_or_add(&taken),
            Err(Refused::Taken),
            "{taken:?}"
        );
    }
    assert_eq!(catalog.refused(), 5);
}

#[test]
fn what_finds_no_place_is_refused_and_counted() {
    let catalog = zeros::<Catalog>();
    let of = |number: usize| declared(Kind::Counter, &format!("moves_{number}"), None);
    let places: Vec<_> = (0..MOST_SERIES)
        .map(|number| catalog.find_or_add(&of(number)).unwrap())
        .collect();
    assert_eq!(catalog.find_or_add(&of(MOST_SERIES)), Err(Refused::Full));
    assert_eq!(catalog.find_or_add(&of(MOST_SERIES)), Err(Refused::Full));
    assert_eq!(catalog.refused(), 2);
    for (number, place) in places.into_iter().enumerate() {
        assert_eq!(catalog.find_or_add(&of(number)), Ok(place));
    }
    let long = "x".repeat(1000);
    let long = declared(Kind::Counter, "other", Some(&long));
    assert_eq!(catalog.find_or_add(&long), Err(Refused::TooLong));
}

#[test]
fn labels_leave_room_for_other_metrics() {
    let catalog = zeros::<Catalog>();
    let of = |name: &str, number: usize| declared(Kind::Counter, name, Some(&number.to_string()));
    for number in 0..MOST_LABELLED_SERIES {
        catalog.find_or_add(&of("moves", number)).unwrap();
    }
    let one_more = of("moves", MOST_LABELLED_SERIES);
    assert_eq!(catalog.find_or_add(&one_more), Err(Refused::Labels));
    let others = [
        declared(Kind::Counter, "moves", None),
        of("games", 0),
        declared(Kind::Gauge, "players", None),
        Declared {
            bounds: (1..32).map(f64::from).collect(),
            ..declared(Kind::Histogram, "size", None)
        },
    ];
    for other in others {
        assert!(catalog.find_or_add(&other).is_ok(), "{other:?}");
    }
    assert_eq!(catalog.find_or_add(&of("games", 1)), Err(Refused::Labels));
    assert_eq!(catalog.refused(), 2);
}

#[test]
fn histograms_do_not_share_cells() {
    let catalog = zeros::<Catalog>();
    let of = |number: usize| Declared {
        bounds: (1..32).map(f64::from).collect(),
        ..declared(Kind::Histogram, "size", Some(&number.to_string()))
    };
    let mut last = None;
    let most = CELLS - CELLS / 5;
    for number in 0..most / 33 {
        let first = catalog.find_or_add(&of(number)).unwrap();
        assert!(last.is_none_or(|last| first >= last + 33));
        last = Some(first);
    }
    assert_eq!(catalog.find_or_add(&of(CELLS)), Err(Refused::Labels));
}

#[test]
fn children_that_add_the_same_series_at_once_lose_nothing() {
    let catalog = zeros::<Catalog>();
    let children: Vec<_> = (0..8).map(|_| zeros::<Cells>()).collect();
    thread::scope(|scope| {
        for child in &children {
            scope.spawn(|| {
                for number in 0..100 {
                    let moves = declared(Kind::Counter, "moves", Some(&number.to_string()));
                    let first = catalog.find_or_add(&moves).unwrap();
                    child.from(first)[0].fetch_add(1, Relaxed);
                }
            });
        }
    });
    let all = families(catalog, &children);
    assert_eq!((all.len(), all[0].samples.len()), (1, 100));
    let is_whole = all[0]
        .samples
        .iter()
        .all(|sample| sample.value == Value::Counter(8));
    assert!(is_whole, "{all:?}");
}
