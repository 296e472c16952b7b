//! Tests of the whole: golden files, simulated jobs, the program with real processes, the layering.

#![expect(clippy::indexing_slicing, reason = "a test that indexes wrongly fails, as it should")]

mod chaos;
mod command;
mod counts;
mod directories;
mod edge_cases;
mod golden;
mod host;
mod hparams;
mod inputs;
mod inspect;
mod jobs;
mod layering;
mod left;
mod missing;
mod numbers;
mod outputs;
mod outside;
mod packed;
mod passes;
mod paths;
mod peers;
mod reading;
mod remarks;
mod remedies;
mod remote;
mod report;
mod restarts;
mod run;
mod run_choice;
mod serve;
mod side_by_side;
mod sidecar;
mod simulation;
mod stores;
mod support;
mod terminal;
mod trial_table;
mod trials;
mod tuner;
mod watch;
mod watch_end;
