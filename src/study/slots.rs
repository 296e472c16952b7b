//! Which GPUs and processors a trial has to itself.

use serde::{Deserialize, Serialize};

use super::config::Needs;

/// What a trial has while it runs. Empty: nothing of its own.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Slot {
    /// GPUs, by what CUDA names them.
    pub gpus: Vec<String>,
    /// Processors, by number.
    pub cpus: Vec<usize>,
}

/// What there is, and who has it.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    needs: Needs,
    gpus: Vec<Gpu>,
    cpus: Vec<(usize, bool)>,
}

#[derive(Debug, Clone)]
struct Gpu {
    id: String,
    n_trials: usize,
    is_lost: bool,
}

impl Slots {
    /// Hands out of `gpus` and `cpus` what a trial needs.
    #[must_use]
    pub fn new(needs: Needs, gpus: Vec<String>, cpus: Vec<usize>) -> Self {
        let gpus = gpus.into_iter().map(|id| Gpu { id, n_trials: 0, is_lost: false }).collect();
        Self { needs, gpus, cpus: cpus.into_iter().map(|cpu| (cpu, false)).collect() }
    }

    /// How many trials can share a GPU.
    fn trials_a_gpu(&self) -> usize {
        if (0.0..1.0).contains(&self.needs.gpus) && self.needs.gpus > 0.0 {
            (1.0 / self.needs.gpus) as usize
        } else {
            1
        }
    }

    fn gpus_a_trial(&self) -> usize {
        self.needs.gpus.ceil() as usize
    }

    /// How many trials can run at once; `None` where nothing limits them.
    #[must_use]
    pub fn n_slots(&self) -> Option<usize> {
        let n_gpus = self.gpus.iter().filter(|gpu| !gpu.is_lost).count();
        let by_gpus = (n_gpus * self.trials_a_gpu()).checked_div(self.gpus_a_trial());
        let by_cpus = self.cpus.len().checked_div(self.needs.cpus as usize);
        match (by_gpus.filter(|_| self.needs.gpus > 0.0), by_cpus) {
            (Some(gpus), Some(cpus)) => Some(gpus.min(cpus)),
            (gpus, cpus) => gpus.or(cpus),
        }
    }

    /// Takes what a trial needs: GPUs that nobody has first. `None` where there is not enough.
    pub fn take(&mut self) -> Option<Slot> {
        let room = self.trials_a_gpu();
        let mut free: Vec<&Gpu> =
            self.gpus.iter().filter(|gpu| !gpu.is_lost && gpu.n_trials < room).collect();
        free.sort_by_key(|gpu| gpu.n_trials);
        let gpus: Vec<String> = free.iter().take(self.gpus_a_trial()).map(|gpu| gpu.id.clone()).collect();
        let free = self.cpus.iter().filter(|(_, is_taken)| !is_taken).map(|(cpu, _)| *cpu);
        let cpus: Vec<usize> = free.take(self.needs.cpus as usize).collect();
        if gpus.len() < self.gpus_a_trial() || cpus.len() < self.needs.cpus as usize {
            return None;
        }
        let slot = Slot { gpus, cpus };
        self.claim(&slot);
        Some(slot)
    }

    /// Takes these, as a trial has them that runs already.
    pub fn claim(&mut self, slot: &Slot) {
        for gpu in self.gpus.iter_mut().filter(|gpu| slot.gpus.contains(&gpu.id)) {
            gpu.n_trials += 1;
        }
        for (_, is_taken) in self.cpus.iter_mut().filter(|(cpu, _)| slot.cpus.contains(cpu)) {
            *is_taken = true;
        }
    }

    /// The GPUs of a trial that nobody else has.
    #[must_use]
    pub fn alone_on(&self, slot: &Slot) -> Vec<String> {
        let alone = self.gpus.iter().filter(|gpu| gpu.n_trials <= 1 && slot.gpus.contains(&gpu.id));
        alone.map(|gpu| gpu.id.clone()).collect()
    }

    /// Takes back what a trial had.
    pub fn give_back(&mut self, slot: &Slot) {
        for (_, is_taken) in self.cpus.iter_mut().filter(|(cpu, _)| slot.cpus.contains(cpu)) {
            *is_taken = false;
        }
        for gpu in self.gpus.iter_mut().filter(|gpu| slot.gpus.contains(&gpu.id)) {
            gpu.n_trials = gpu.n_trials.saturating_sub(1);
        }
    }

    /// Gives a GPU to nobody any more. The answer is how many slots there are less of those that are needed.
    pub fn lose(&mut self, gpu: &str, n_needed: usize) -> usize {
        let n_slots = |slots: &Self| slots.n_slots().unwrap_or(0).min(n_needed);
        let before = n_slots(self);
        self.gpus.iter_mut().filter(|g| g.id == gpu).for_each(|g| g.is_lost = true);
        before.saturating_sub(n_slots(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(gpus: f64, cpus: u32) -> Slots {
        let ids = ["a", "b", "c"].map(str::to_owned).into();
        Slots::new(Needs { gpus, cpus, ..Needs::default() }, ids, vec![0, 1, 2, 3])
    }

    #[test]
    fn there_are_as_many_slots_as_the_scarcer_allows() {
        #[track_caller]
        fn check(gpus: f64, cpus: u32, expected: Option<usize>) {
            let mut slots = slots(gpus, cpus);
            assert_eq!(slots.n_slots(), expected);
            let n = std::iter::from_fn(|| slots.take()).take(99).count();
            assert_eq!(n, expected.unwrap_or(99));
        }
        check(0.0, 0, None);
        check(1.0, 0, Some(3));
        check(2.0, 0, Some(1));
        check(4.0, 0, Some(0));
        check(0.5, 0, Some(6));
        check(0.3, 0, Some(9));
        check(0.0, 3, Some(1));
        check(0.5, 1, Some(4));
    }

    #[test]
    fn a_gpu_that_nobody_has_comes_first_and_one_that_is_lost_never() {
        let mut slots = slots(0.5, 0);
        let gpus: Vec<String> = (0..4).filter_map(|_| slots.take()).flat_map(|slot| slot.gpus).collect();
        assert_eq!(gpus, ["a", "b", "c", "a"]);
        let a = Slot { gpus: vec!["a".into()], cpus: vec![] };
        assert_eq!(slots.alone_on(&a), Vec::<String>::new());
        slots.give_back(&a);
        assert_eq!(slots.alone_on(&a), ["a"]);
        slots.give_back(&a);
        // Of six slots.
        assert_eq!(slots.clone().lose("a", 4), 0);
        assert_eq!(slots.clone().lose("a", 5), 1);
        assert_eq!(slots.lose("a", 9), 2);
        let gpus: Vec<String> = std::iter::from_fn(|| slots.take()).flat_map(|slot| slot.gpus).collect();
        assert_eq!(gpus, ["b", "c"]);
    }

    #[test]
    fn what_runs_already_is_not_given_twice() {
        let mut slots = slots(1.0, 2);
        slots.claim(&Slot { gpus: vec!["a".into()], cpus: vec![0, 1] });
        assert_eq!(slots.take(), Some(Slot { gpus: vec!["b".into()], cpus: vec![2, 3] }));
        assert_eq!(slots.take(), None);
    }
}
