//! Random sequences of operations by path on the host's own tmpfs, on `MemFs`, `LocalFs` and `OverlayFs`: the same
//! answers, the same error numbers, and after every step the same tree with the same modes, owners and
//! moved times. `UOS_CAMPAIGN_OPERATIONS` says how many operations there are in all, of each kind.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod host;
mod layers;
mod ours;
mod steps;

use host::Host;
use layers::{Laid, emptied};
use ours::Ours;
use proptest::prelude::*;
use std::collections::BTreeMap;
use steps::{People, Step, rights_step, shape_step};
use uos_vfs::{Caller, LocalFs, MemFs};

/// What an operation says, or the number of its error.
type Answer = Result<String, i32>;

/// By path, all that is the same on every filesystem.
type Picture = BTreeMap<Vec<u8>, String>;

/// Whatever has files.
trait World {
    /// Does one thing as somebody.
    fn act(&self, by: &Caller, step: &Step) -> Answer;
    /// Looks at everything.
    fn picture(&self) -> Picture;
    /// Sets the times of everything to long ago, so that it shows what moves them.
    fn age(&self);
}

/// When everything was last changed that nothing has happened to.
const LONG_AGO: i64 = 1_000_000;

fn compare(worlds: &[(&str, &dyn World)], steps: &[(People, Step)], ages: bool) {
    let (name, first) = worlds[0];
    for (nth, (by, step)) in steps.iter().enumerate() {
        if ages {
            worlds.iter().for_each(|(_, world)| world.age());
        }
        let (answer, tree) = (first.act(&by.caller(), step), first.picture());
        for (other_name, other) in &worlds[1..] {
            let said = other.act(&by.caller(), step);
            assert_eq!(said, answer, "step {nth} by {by:?}: {step:?} on {other_name} and on {name}");
            let seen = other.picture();
            assert_eq!(seen, tree, "after step {nth} by {by:?}: {step:?} on {other_name} and on {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    /// All that paths, links and names can get up to, by one who may do everything or at least what they like
    /// with what is theirs.
    #[test]
    fn one_user_sees_no_difference(
        steps in prop::collection::vec(shape_step().prop_map(|step| (People::Me, step)), 1..100),
        ages in any::<bool>(),
    ) {
        let host = Host::new();
        let shown = tempfile::tempdir_in("/dev/shm").unwrap();
        let local = Ours::new(LocalFs::open(shown.path(), false).unwrap());
        let memory = Ours::new(MemFs::builder().build());
        let overlay = Ours::new(emptied());
        for fs in [&memory as &dyn World, &local, &overlay] {
            fs.act(&Caller::ROOT, &Step::Own).unwrap();
        }
        let worlds: [(&str, &dyn World); 4] =
            [("tmpfs", &host), ("MemFs", &memory), ("LocalFs", &local), ("OverlayFs", &overlay)];
        compare(&worlds, &steps, ages);
    }

    /// Several users and their modes, owners, groups and sticky bits.
    #[test]
    fn several_users_see_no_difference(
        steps in prop::collection::vec(rights_step(), 1..100),
        ages in any::<bool>(),
    ) {
        assert!(rustix::process::geteuid().is_root(), "acting as several users takes root");
        let host = Host::new();
        let memory = Ours::new(MemFs::builder().build());
        let overlay = Ours::new(emptied());
        compare(&[("tmpfs", &host), ("MemFs", &memory), ("OverlayFs", &overlay)], &steps, ages);
    }

    /// Layers that hold anything, and a plain filesystem that holds the same.
    #[test]
    fn layers_show_no_difference_to_what_they_come_to(
        below in prop::collection::vec(prop::collection::vec(shape_step(), 1..40), 1..4),
        steps in prop::collection::vec(shape_step().prop_map(|step| (People::Me, step)), 1..100),
        ages in any::<bool>(),
    ) {
        let overlay = Laid::over(&below, true);
        let plain = Ours::new(overlay.merged());
        compare(&[("MemFs", &plain), ("OverlayFs", &overlay)], &steps, ages);
        overlay.check_below();
    }

    /// The same for several users.
    #[test]
    fn layers_treat_several_users_alike(
        below in prop::collection::vec(prop::collection::vec(rights_step(), 1..40), 1..4),
        steps in prop::collection::vec(rights_step(), 1..100),
        ages in any::<bool>(),
    ) {
        let overlay = Laid::over_by(&below, true);
        let plain = Ours::new(overlay.merged());
        compare(&[("MemFs", &plain), ("OverlayFs", &overlay)], &steps, ages);
        overlay.check_below();
    }

    /// The same, laid anew over the same layers after every step: all that an overlay has to know is written down,
    /// but for which names below are one file.
    #[test]
    fn layers_come_to_the_same_when_laid_again(
        below in prop::collection::vec(prop::collection::vec(shape_step(), 1..40), 1..4),
        steps in prop::collection::vec(shape_step().prop_map(|step| (People::Me, step)), 1..100),
    ) {
        let overlay = Laid::over(&below, false);
        let plain = Ours::new(overlay.merged());
        for step in steps {
            compare(&[("MemFs", &plain), ("OverlayFs", &overlay)], &[step], false);
            overlay.lay_again();
        }
        overlay.check_below();
    }
}

/// Sequences are about this long.
const STEPS: u32 = 50;

/// As many sequences as hold so many operations, as asked for from outside or else what fits a quick run.
fn cases() -> u32 {
    let asked = std::env::var("UOS_CAMPAIGN_OPERATIONS").map(|text| text.parse::<u32>().unwrap());
    asked.unwrap_or(10_000) / STEPS
}
