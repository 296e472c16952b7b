//! Commands that hand the work to somebody else and return before it is done: schedulers, containers, terminals.
//!
//! Nothing of the work is below such a command, so that nobody can wait for it there; each has an option that has it
//! wait.

/// How a command is made to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detached {
    /// The program.
    pub program: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

/// Words before a command that do not change which one it is.
const BEFORE: [&str; 7] = ["exec", "time", "sudo", "env", "nohup", "command", "if"];

/// The first command of a shell's script that returns before its work is done; `None` where none is known to.
#[must_use]
pub fn detached_in_script(script: &str) -> Option<Detached> {
    // A line that goes on on the next one.
    let script = script.replace("\\\n", " ");
    let lines = script.lines().map(|line| line.split(" #").next().unwrap_or(line));
    let commands = lines.filter(|line| !line.trim_start().starts_with('#'));
    let mut commands = commands.flat_map(|line| line.split([';', '&', '|', '(', ')', '`', '{', '}']));
    commands.find_map(|command| {
        let words: Vec<&str> =
            command.split_whitespace().map(|word| word.trim_matches(['"', '\''])).collect();
        detached(&words)
    })
}

/// Whether a command of these words returns before its work is done.
#[must_use]
pub fn detached(words: &[&str]) -> Option<Detached> {
    let is_before = |word: &str| BEFORE.contains(&word) || (word.contains('=') && !word.starts_with('-'));
    let at = words.iter().position(|word| !is_before(word))?;
    let (program, rest) = words.get(at..)?.split_first()?;
    // What stands behind the name of a script is for that.
    let options = || rest.iter().take_while(|word| word.starts_with('-'));
    let has =
        |wanted: &[&str]| rest.iter().any(|word| wanted.contains(&word.split('=').next().unwrap_or(word)));
    // One of the letters of an option such as `-itd`.
    let has_letter = |letter: char| {
        rest.iter().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    let verb = rest.iter().find(|word| !word.starts_with('-')).copied().unwrap_or_default();
    let (program, is_detached, remedy) = match program.rsplit('/').next()? {
        "sbatch" => ("sbatch", !has(&["--wait", "-W"]), "give it `--wait`"),
        "qsub" => {
            let waits = has(&["-sync", "-I"]) || rest.iter().any(|word| word.contains("block=true"));
            ("qsub", !waits, "give it `-sync y` (Grid Engine) or `-W block=true` (PBS)")
        }
        "bsub" => ("bsub", !has(&["-K", "-I", "-Is", "-Ip"]), "give it `-K`"),
        "docker" => ("docker", runs_detached(verb, rest), "leave `-d` out"),
        "podman" => ("podman", runs_detached(verb, rest), "leave `-d` out"),
        "screen" => {
            ("screen", has_letter('d') && has_letter('m'), "run the command itself, or `screen -D -m`")
        }
        "tmux" => {
            let is_new = ["new", "new-session", "new-window", "neww"].contains(&verb);
            ("tmux", is_new && has(&["-d"]), "run the command itself")
        }
        "kubectl" => {
            let remedy = "put `kubectl wait --for=condition=complete job/NAME` behind it";
            ("kubectl", ["apply", "create"].contains(&verb), remedy)
        }
        "systemd-run" => {
            let waits = options().any(|word| ["--wait", "--scope", "--pty", "-t", "-P"].contains(word));
            ("systemd-run", !waits, "give it `--wait`")
        }
        _ => return None,
    };
    is_detached.then_some(Detached { program, remedy })
}

/// Whether `docker run` or `docker compose up` is told to return at once. What stands behind the image is for that.
fn runs_detached(verb: &str, words: &[&str]) -> bool {
    let is_detach = |word: &&str| {
        matches!(*word, "--detach" | "--detach=true")
            || (word.starts_with('-') && !word.starts_with("--") && word.len() <= 4 && word.contains('d'))
    };
    ["run", "compose"].contains(&verb) && words.iter().any(is_detach)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_return_early_are_known_with_their_remedy() {
        #[track_caller]
        fn check(script: &str, expected: Option<&str>) {
            assert_eq!(detached_in_script(script).map(|found| found.program), expected, "{script}");
        }
        check("sbatch job.sh --lr=0.1", Some("sbatch"));
        check("sbatch --wait job.sh", None);
        check(
            "#!/bin/bash\n# sbatch is not used\necho hi && exec sbatch -p gpu \\\n  --gres=gpu:1 job.sh",
            Some("sbatch"),
        );
        check("id=$(sbatch --parsable job.sh)", Some("sbatch"));
        check("python3 train.py --launcher sbatch", None);
        check("docker run -d image", Some("docker"));
        check("sudo docker run --rm -itd image train", Some("docker"));
        check("docker run --rm image train", None);
        check("docker compose up -d", Some("docker"));
        check("screen -dmS train python3 train.py", Some("screen"));
        check("screen -d -m python3 train.py", Some("screen"));
        check("screen -D -m python3 train.py", None);
        check("tmux new -d 'python3 train.py'", Some("tmux"));
        check("/usr/bin/kubectl apply -f job.yaml", Some("kubectl"));
        check("kubectl get pods", None);
        check("A=1 bsub -q gpu train.sh", Some("bsub"));
        check("bsub -K train.sh", None);
        check("qsub train.sh", Some("qsub"));
        check("qsub -W block=true train.sh", None);
        check("qsub -sync y train.sh", None);
        check("", None);
    }
}
