//! What is completed beyond the position.

use crate::plan::Extent;

/// Completed runs beyond the position, in order; none meets the next. Only a chunk in
/// flight parts two of them, so there are at most as many as workers: no memory is
/// asked for when one is added, by threads that would each get an arena for it.
pub(super) struct Ahead(Vec<Extent>);

impl Ahead {
    pub(super) fn of(workers: usize) -> Self {
        Self(Vec::with_capacity(workers + 1))
    }

    /// A chunk is completed.
    pub(super) fn insert(&mut self, chunk: Extent) {
        let runs = &mut self.0;
        let at = runs.partition_point(|run| run.end() < chunk.start());
        let meets = |run: &Extent| run.end() == chunk.start() || run.start() == chunk.end();
        let Some(run) = runs.get(at).copied().filter(meets) else {
            runs.insert(at, chunk);
            return;
        };
        let (start, mut end) = (run.start().min(chunk.start()), run.end().max(chunk.end()));
        if let Some(next) = runs.get(at + 1).filter(|next| next.start() == end) {
            end = next.end();
            runs.remove(at + 1);
        }
        runs.splice(at..=at, Extent::between(start, end));
    }

    /// The end of the run that begins at the position, which is taken out.
    pub(super) fn take_from(&mut self, position: u64) -> Option<u64> {
        let run = self.0.first().copied();
        let run = run.filter(|run| run.start() == position)?;
        self.0.remove(0);
        Some(run.end())
    }

    pub(super) fn covers(&self, range: Extent) -> bool {
        let within = |run: &Extent| run.start() <= range.start() && range.end() <= run.end();
        self.0.iter().any(within)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_meet_become_one_in_whatever_order_they_come() {
        let chunk = |n: u64| Extent::new(n * 10, 10).unwrap();
        let mut ahead = Ahead::of(2);
        for n in [3, 1, 6, 2, 5] {
            ahead.insert(chunk(n));
        }
        let runs: Vec<_> = ahead.0.iter().map(|run| (run.start(), run.end())).collect();
        assert_eq!(runs, [(10, 40), (50, 70)]);
        assert!(ahead.covers(Extent::new(15, 25).unwrap()));
        assert!(!ahead.covers(Extent::new(35, 20).unwrap()));
        assert_eq!(ahead.take_from(0), None);
        assert_eq!(ahead.take_from(10), Some(40));
        assert_eq!(ahead.take_from(40), None);
        ahead.insert(chunk(4));
        assert_eq!(ahead.take_from(40), Some(70));
        assert!(ahead.is_empty());
    }
}
