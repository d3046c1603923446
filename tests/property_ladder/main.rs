//! Whatever the table does and whatever comes of relief: what the guard must never do, and what it must do in the end.
//!
//! Each law is checked against the bare looks and outcomes, kept here, not against what the guard remembers of them.

mod stretch;
mod watched;

use ctwarden::detect::{LOOK_LATEST, Verdict};
use ctwarden::rung::Rung;
use proptest::prelude::*;
use stretch::{Where, quiet, settings, stretches};
use watched::{REFUSAL_NEWS, REST, Watched};

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_guard_keeps_its_laws(s in settings(), column: bool, stretches in prop::collection::vec(stretches(), 1..40)) {
        let mut watched = Watched::new(s, column);
        for stretch in &stretches {
            watched.pass(stretch)?;
        }
    }

    /// Once the load is gone the guard is calm again, its incidents are over, and the next climb begins with the first rung.
    #[test]
    fn it_always_comes_back(
        s in settings(), column: bool, stretches in prop::collection::vec(stretches(), 1..20), within in 0..1000u16,
    ) {
        let mut watched = Watched::new(s, column);
        for stretch in &stretches {
            watched.pass(stretch)?;
        }
        let calm_by = watched.now + REFUSAL_NEWS;
        while watched.now < calm_by + REST + 2 * LOOK_LATEST.0 {
            let decision = watched.turn(&quiet(Where::Low, within))?;
            prop_assert_eq!(decision, None);
            let verdict = watched.guard.evidence().verdict;
            prop_assert!(watched.now < calm_by || verdict == Verdict::Calm, "still {verdict}");
            watched.now += watched.guard.next_look(&watched.s).0;
        }
        prop_assert!(watched.guard.incidents.all().all(|i| i.ended.is_some_and(|ended| ended >= i.began)));
        let decision = watched.turn(&quiet(Where::High, 0))?;
        // A trim has the first of its place and that of shed, and nobody is capped before trims have been in vain.
        let trims = watched.s.ladder.contains(&Rung::Trim);
        let mut rungs = watched.s.ladder.iter().map(|r| if trims && *r == Rung::Shed { Rung::Trim } else { *r });
        let first = rungs.find(|r| matches!(r, Rung::Grow | Rung::Trim | Rung::Shed));
        prop_assert_eq!(decision.map(|d| d.action.rung()), first);
    }

    /// A table that settles between the marks is calm after a while, and no climb goes on there.
    #[test]
    fn it_settles_between_the_marks(
        s in settings(), column: bool, stretches in prop::collection::vec(stretches(), 1..20), within in 0..990u16,
    ) {
        let mut watched = Watched::new(s, column);
        for stretch in &stretches {
            watched.pass(stretch)?;
        }
        let calm_by = watched.now + 10_000 + REFUSAL_NEWS;
        while watched.now < calm_by + LOOK_LATEST.0 {
            let decision = watched.turn(&quiet(Where::Between, within))?;
            prop_assert!(decision.is_none() || watched.relief_from() < watched.s.marks.high);
            prop_assert!(watched.now < calm_by || watched.guard.evidence().verdict == Verdict::Calm);
            watched.now += watched.guard.next_look(&watched.s).0;
        }
    }
}
