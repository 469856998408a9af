//! The table, and that it does not flap.

use std::time::UNIX_EPOCH;

use protocol::schedule::Zone;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const FINE: Conditions = Conditions {
    on_battery: false,
    is_metered: false,
    processors: Some(10),
    disk: Some(0),
    room: Some(Room { free: 100, least: 30 }),
};

fn policy(not_during: &[&str]) -> Policy {
    let not_during = Windows::parse(not_during, &Zone::default()).unwrap();
    Policy { on_battery: false, processors_max: 80, disk_max: 50, not_during }
}

#[test]
fn the_table() {
    let unknown = Conditions { processors: None, disk: None, room: None, ..FINE };
    let noon = UNIX_EPOCH + 43_200 * SECOND;
    let until = Some(UNIX_EPOCH + 46_800 * SECOND);
    for (conditions, times, expected) in [
        (FINE, &[][..], Ok(())),
        (unknown, &[], Ok(())),
        (FINE, &["12:00-13:00"], Err(Why::Times(until))),
        (FINE, &["13:00-14:00"], Ok(())),
        (Conditions { is_metered: true, ..FINE }, &[], Err(Why::Metered)),
        (Conditions { on_battery: true, ..FINE }, &[], Err(Why::Battery)),
        (Conditions { room: Some(Room { free: 29, least: 30 }), ..FINE }, &[], Err(Why::Full)),
        (Conditions { room: Some(Room { free: 30, least: 30 }), ..FINE }, &[], Ok(())),
        (Conditions { processors: Some(80), ..FINE }, &[], Ok(())),
        (Conditions { processors: Some(81), ..FINE }, &[], Err(Why::Processors(81))),
        (Conditions { disk: Some(50), ..FINE }, &[], Ok(())),
        (Conditions { disk: Some(51), ..FINE }, &[], Err(Why::Disk(51))),
        // What lasts longest is said first.
        (Conditions { disk: Some(99), is_metered: true, ..FINE }, &["12:00-13:00"], Err(Why::Times(until))),
        (Conditions { disk: Some(99), is_metered: true, ..FINE }, &[], Err(Why::Metered)),
    ] {
        assert_eq!(may_share(&conditions, &policy(times), noon), expected, "{conditions:?} {times:?}");
    }
    let any = Policy { on_battery: true, processors_max: 100, disk_max: 100, ..policy(&[]) };
    let busy = Conditions { on_battery: true, processors: Some(100), disk: Some(100), ..FINE };
    assert_eq!(may_share(&busy, &any, noon), Ok(()));
}

#[test]
fn neighbours_are_told_when_to_come_again() {
    let at = |seconds: u64| UNIX_EPOCH + seconds as u32 * SECOND;
    for (why, expected) in [
        (Why::Times(Some(at(160))), 61),
        (Why::Times(Some(at(90))), 5),
        (Why::Times(Some(at(100_000))), 3_600),
        (Why::Times(None), 3_600),
        (Why::Battery, 600),
        (Why::Metered, 600),
        (Why::Full, 600),
        (Why::Processors(99), 60),
        (Why::Disk(99), 60),
    ] {
        assert_eq!(why.retry_after(at(100)), expected, "{why:?}");
    }
}

/// Looks at these conditions, each for as many seconds; what is decided behind each.
fn play(steps: &[(Conditions, u32)]) -> String {
    let (begin, mut at, mut watch) = (Instant::now(), 0, Watch::default());
    let mut said = Vec::new();
    for (conditions, seconds) in steps {
        let mut why = None;
        for _ in 0..*seconds {
            at += 1;
            why = watch.look(conditions, &policy(&[]), UNIX_EPOCH, begin + at * SECOND);
        }
        said.push(why.map_or("shares", Why::name));
    }
    said.join(" ")
}

#[test]
fn it_does_not_flap() {
    let busy = Conditions { processors: Some(95), ..FINE };
    let nearly = Conditions { processors: Some(70), ..FINE };
    let on_battery = Conditions { on_battery: true, ..FINE };
    let full = Conditions { room: Some(Room { free: 20, least: 30 }), ..FINE };
    let scarce = Conditions { room: Some(Room { free: 35, least: 30 }), ..FINE };
    for (steps, expected) in [
        // A moment is none.
        (&[(busy, 20), (FINE, 1), (busy, 20), (FINE, 1)][..], "shares shares shares shares"),
        (&[(busy, 21)], "processors"),
        // Once stopped, it has to be better by a margin, and for a while.
        (&[(busy, 21), (nearly, 600), (FINE, 60), (FINE, 1)], "processors processors processors shares"),
        (
            &[(busy, 21), (FINE, 50), (busy, 1), (FINE, 60), (FINE, 1)],
            "processors processors processors processors shares",
        ),
        // The margin is for who stopped: who shares goes on.
        (&[(nearly, 600)], "shares"),
        // What somebody did to the machine holds at once, and so it is looked whether he does it again.
        (&[(on_battery, 1), (FINE, 60), (FINE, 1)], "battery battery shares"),
        (&[(on_battery, 1), (nearly, 60), (nearly, 1)], "battery battery shares"),
        (&[(full, 21), (scarce, 600), (FINE, 61)], "disk-full disk-full shares"),
        // The reason may become another.
        (&[(busy, 21), (on_battery, 1)], "processors battery"),
    ] {
        assert_eq!(play(steps), expected, "{steps:?}");
    }
}

#[test]
fn behind_a_window_it_shares_at_once() {
    let (policy, mut watch, begin) = (policy(&["00:00-01:00"]), Watch::default(), Instant::now());
    let mut at = |seconds: u32| watch.look(&FINE, &policy, UNIX_EPOCH + seconds * SECOND, begin + seconds * SECOND);
    assert!(matches!(at(3_599), Some(Why::Times(Some(_)))));
    assert_eq!(at(3_600), None);
}
