//! Metrics: told to whoever asks, and written for a textfile collector if the config says so.

use super::answer::Asker;
use super::job::Job;
use super::report::tell_textfile;
use super::root::{Root, TEXTFILE, TEXTFILE_DIR, terminated};
use super::run::Daemon;
use super::statefile::{make_folders, put_whole};
use super::work::Purpose;
use ctwarden::metrics::{Facts, Metrics};
use ctwarden::protocol::{Answer, Ask, By, Request};
use ctwarden::units::Millis;
use nix::errno::Errno;
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::unlink;

/// The textfile is written this often: as Prometheus asks, by its own default.
const EVERY: Millis = Millis(15_000);
/// A census is as good as new for this long: who asks twice is not worth two.
const FRESH: Millis = Millis(5_000);

/// How it stands with the file.
#[derive(Default)]
pub struct Textfile {
    due: Millis,
    there: bool,
    /// Why it could not be written has been told.
    told: bool,
}

impl Daemon {
    /// Answers with metrics, or begins the census that they want: the same bounded sample as that of `top`. `None`: they are
    /// for the textfile.
    pub(super) fn begin_metrics(&mut self, asker: Option<Asker>) {
        let now = self.now();
        let fresh = self.holding.as_ref().is_some_and(|h| now.since(h.at) < FRESH);
        if !fresh && let Some(count) = self.counters.count(&self.root) {
            self.work.read_timeouts(&self.root);
            if let Ok(pass) = self.work.begin(Purpose::Census { by: By::Source, exact: false }, &self.root, count) {
                self.job = Some(Job::Metrics { pass, asker });
                return;
            }
        }
        self.tell_metrics(asker);
    }

    /// Tells them with the last census's numbers.
    pub(super) fn tell_metrics(&mut self, asker: Option<Asker>) {
        let answer = Answer::Metrics(self.metrics());
        match asker {
            Some(asker) => self.answer(asker, &answer),
            None => self.put_textfile(&answer),
        }
    }

    fn metrics(&self) -> Metrics {
        Metrics::of(&Facts {
            now: self.now(),
            guard: &self.guard,
            settings: &self.settings,
            dry_run: self.config.dry_run,
            totals: &super::past::totals(),
            windows: &self.windows(),
            holding: self.holding.as_ref(),
        })
    }

    /// Writes the textfile if it is wanted and due. Relief comes first: then with the last census's numbers.
    pub(super) fn tend_textfile(&mut self, now: Millis) {
        if !self.config.textfile {
            self.remove_textfile();
        } else if now >= self.textfile.due {
            self.textfile.due = now.after(EVERY);
            match self.job {
                None => self.begin_metrics(None),
                Some(_) => self.tell_metrics(None),
            }
        }
    }

    fn put_textfile(&mut self, answer: &Answer) {
        let mut done = Ok(());
        let ask = Ask { request: Request::Metrics, json: false, colour: false };
        let root = &self.root;
        (self.control.render())(answer, &ask, &mut |reply| done = put(root, reply.text));
        self.textfile.there |= done.is_ok();
        if let Err(e) = done
            && !core::mem::replace(&mut self.textfile.told, true)
        {
            tell_textfile(e);
        }
    }

    /// Numbers that nobody counts any longer are not left behind.
    pub(super) fn remove_textfile(&mut self) {
        if core::mem::take(&mut self.textfile.there) {
            let _ = unlink(&terminated(&self.root.path(&[TEXTFILE])));
        }
    }
}

/// Whole or not at all: a collector may read at any moment. EROFS: the folder is not on tmpfs, and flash wears out.
fn put(root: &Root, text: &str) -> Result<(), Errno> {
    let folder = root.path(&[TEXTFILE_DIR]);
    make_folders(&folder)?;
    if statfs(&terminated(&folder))?.filesystem_type() != TMPFS_MAGIC {
        return Err(Errno::EROFS);
    }
    put_whole(&root.path(&[TEXTFILE]), 0o644, &[text.as_bytes()])
}
