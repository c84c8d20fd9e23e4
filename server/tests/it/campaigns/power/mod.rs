//! Campaign K8: the power goes. The product works on disks that write down every write and flush;
//! from the log, disks are made as a power cut at any moment could have left them, and the product
//! is started on each. What its clients had been told must still be so.
//!
//! Two controls show that the campaign sees what it is there for: with a sync left out it must find
//! losses. The sync is skipped by the kernel (an injected result), so that the product has no
//! switch for it.

mod device;
mod image;
mod inspect;
mod record;

use std::collections::BTreeMap;

use image::{Cut, Replay};
use inspect::{Wrong, inspect};
use record::{Plan, Skipped, Told, record, there_is};

use crate::harness::origin::Origin;
use crate::harness::seeded::Seeded;
use crate::harness::{count_from, ledger, skip, strace};

/// Operations of one recording (reliability.md asks for 120 to 500).
const OPERATIONS: usize = 160;
/// Images made of one recording: few enough that the requests of it are not out of date (their
/// time is accepted for 15 minutes) when they are tried again.
const IMAGES: usize = 40;

/// What the images of one or more recordings showed.
#[derive(Debug, Default)]
struct Shown {
    images: usize,
    recordings: usize,
    told: usize,
    /// Images that e2fsck had to mend.
    mended: usize,
    /// Images by what is wrong with them, and the first example of each.
    wrong: BTreeMap<Wrong, (usize, String)>,
}

impl Shown {
    fn with(&self, wrong: Wrong) -> usize {
        self.wrong.get(&wrong).map_or(0, |(images, _)| *images)
    }

    /// Images in which something acknowledged was lost.
    fn enter(&self, campaign: &str, seed: u64) {
        let mut counts = vec![
            ("recordings", self.recordings),
            ("images", self.images),
            ("promises", self.told),
            ("mended by e2fsck", self.mended),
        ];
        for (name, wrong) in [
            ("not mounted", Wrong::NotMounted),
            ("not started", Wrong::NotStarted),
            ("corrupt", Wrong::Corrupt),
            ("jobs lost", Wrong::JobLost),
            ("cancels lost", Wrong::CancelLost),
            ("nonces lost", Wrong::NonceLost),
            ("objects lost", Wrong::ObjectLost),
            ("torn", Wrong::Torn),
            ("other ends", Wrong::OtherEnd),
        ] {
            counts.push((name, self.with(wrong)));
        }
        ledger::enter(campaign, Some(seed), &counts);
    }

    /// Makes the image of a cut, and looks at it.
    async fn look(
        &mut self,
        replay: &mut Replay<'_, Told>,
        cut: &Cut,
        disks: usize,
        origin: &Origin,
    ) {
        replay.advance(cut);
        let dir = tempfile::tempdir().unwrap();
        replay.write_images(cut, dir.path());
        let damage = inspect(dir.path(), disks, cut, replay.told(), origin).await;
        self.images += 1;
        self.told += replay.told().count();
        self.mended += usize::from(damage.mended);
        for wrong in damage.kinds() {
            let example = format!("{cut:?}: {:?}", damage.found[&wrong]);
            self.wrong.entry(wrong).or_insert((0, example)).0 += 1;
        }
    }
}

/// Records once and looks at `images` images.
async fn cut_power(
    plan: Plan,
    images: usize,
    choices: &mut Seeded,
    shown: &mut Shown,
) -> Result<(), String> {
    let origin = Origin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let recording = record(dir.path(), plan, &origin).await?;
    shown.recordings += 1;
    let mut replay = Replay::new(&recording.log, plan.disks);
    for cut in Cut::choose(images, recording.first, recording.log.len(), choices) {
        shown.look(&mut replay, &cut, plan.disks, &origin).await;
    }
    Ok(())
}

/// Why it cannot run here, if it cannot.
fn lacking(skipped: Skipped) -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() || !std::path::Path::new("/dev/fuse").exists() {
        return Some("only root makes disks of FUSE files");
    }
    if !there_is("mkfs.ext4") {
        return Some("mkfs.ext4 is missing");
    }
    (skipped != Skipped::Nothing && !strace::is_there()).then_some("strace is missing")
}

/// Runs one of the tests; `None` where it cannot run and that has been said.
async fn campaign(name: &str, plans: &[Plan], images: usize) -> Option<(Shown, u64)> {
    if let Some(why) = lacking(plans[0].skipped) {
        skip(name, why);
        return None;
    }
    let mut choices = Seeded::from_environment();
    let mut shown = Shown::default();
    while shown.images < images {
        let plan = plans[shown.recordings % plans.len()];
        let some = IMAGES.min(images - shown.images);
        if let Err(said) = cut_power(plan, some, &mut choices, &mut shown).await {
            skip(name, &said);
            return None;
        }
    }
    Some((shown, choices.seed()))
}

const SOUND: Plan = Plan { disks: 1, operations: OPERATIONS, skipped: Skipped::Nothing };

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_nothing_that_was_told() {
    let name = "a_power_cut_takes_nothing_that_was_told";
    let images = count_from("HAULAGE_TEST_POWER_CUTS", 2 * IMAGES);
    let plans = [SOUND, Plan { disks: 2, ..SOUND }];
    let Some((shown, seed)) = campaign(name, &plans, images).await else { return };
    shown.enter("K8", seed);
    assert!(shown.wrong.is_empty(), "seed {seed}: {:#?}", shown.wrong);
    assert!(shown.told > shown.images, "promises were compared");
}

/// What a file system of sectors does with a cut that its maker did not think of.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_superblock_is_mended_at_the_start_and_takes_nothing() {
    let name = "a_torn_superblock_is_mended_at_the_start_and_takes_nothing";
    if let Some(why) = lacking(Skipped::Nothing) {
        return skip(name, why);
    }
    let origin = Origin::start().await;
    let dir = tempfile::tempdir().unwrap();
    let recording = match record(dir.path(), SOUND, &origin).await {
        Ok(recording) => recording,
        Err(said) => return skip(name, &said),
    };
    let cut = Cut::through_the_superblock(&recording.log, recording.first);
    let mut replay = Replay::new(&recording.log, SOUND.disks);
    let mut shown = Shown::default();
    shown.look(&mut replay, &cut.expect("it was written"), SOUND.disks, &origin).await;
    assert_eq!((shown.mended, shown.wrong), (1, BTreeMap::new()));
    assert!(shown.told > 0, "promises were compared");
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_sync_of_the_log_power_cuts_lose_what_was_told() {
    let name = "control_without_the_sync_of_the_log_power_cuts_lose_what_was_told";
    let images = count_from("HAULAGE_TEST_POWER_CONTROLS", 12);
    let plans = [Plan { skipped: Skipped::LogSync, ..SOUND }];
    let Some((shown, seed)) = campaign(name, &plans, images).await else { return };
    shown.enter("K8 control: no sync of the log", seed);
    let lossy = [Wrong::JobLost, Wrong::CancelLost, Wrong::NonceLost].map(|w| shown.with(w));
    let lossy = lossy.into_iter().max().unwrap();
    assert!(lossy * 10 >= shown.images * 9, "seed {seed}: only {lossy} of {}", shown.images);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_without_the_sync_of_directories_power_cuts_lose_objects() {
    let name = "control_without_the_sync_of_directories_power_cuts_lose_objects";
    let images = count_from("HAULAGE_TEST_POWER_CONTROLS", 30);
    let plans = [Plan { disks: 2, skipped: Skipped::DirectorySync, ..SOUND }];
    let Some((shown, seed)) = campaign(name, &plans, images).await else { return };
    shown.enter("K8 control: no sync of directories", seed);
    let lossy = shown.with(Wrong::ObjectLost);
    assert!(lossy * 20 >= shown.images, "seed {seed}: only {lossy} of {}", shown.images);
}
