//! A virtual environment for each Python, with the tools in it, and the package built for it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::find::Interpreter;
use super::log::Log;
use crate::guard;
use crate::shell::Shell;

const REQUIREMENTS: &str = "python/requirements-dev.txt";
const SECONDS_TO_INSTALL: u64 = 600;
const SECONDS_TO_BUILD: u64 = 900;

/// How the package is compiled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Profile {
    Dev,
    Release,
}

/// A virtual environment under `target/python`.
pub(crate) struct Venv<'a> {
    shell: &'a Shell,
    interpreter: &'a Interpreter,
    log: &'a Log,
}

impl<'a> Venv<'a> {
    /// Makes the environment, or takes the one of an earlier run if it is still what it should be.
    pub(crate) fn ready(
        shell: &'a Shell,
        interpreter: &'a Interpreter,
        log: &'a Log,
    ) -> Result<Self> {
        let venv = Self { shell, interpreter, log };
        let stamp = venv.folder().join("made-by-xtask");
        let fresh = venv.stamp()?;
        if fs::read_to_string(&stamp).is_ok_and(|made| made == fresh) {
            return Ok(venv);
        }
        let mut make = guard::command(shell, SECONDS_TO_INSTALL, &interpreter.path);
        make.args(["-I", "-m", "venv", "--clear"]).arg(venv.folder());
        log.step("environment", &mut make)?;
        log.step("tools", venv.pip().args(["install", "--requirement", REQUIREMENTS]))?;
        fs::write(&stamp, fresh).with_context(|| stamp.display().to_string())?;
        Ok(venv)
    }

    /// A command of the environment's Python in the project's root, killed after `seconds`.
    pub(crate) fn python(&self, seconds: u64) -> Command {
        let mut command = guard::command(self.shell, seconds, &self.executable());
        command.current_dir(&self.shell.root);
        for name in ["PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "MANYHANDS_INSTALL"] {
            command.env_remove(name);
        }
        command
    }

    /// Builds the package and gives the wheel's path.
    pub(crate) fn build(&self, profile: Profile) -> Result<PathBuf> {
        let version = &self.interpreter.version;
        let wheels = folder(self.shell).join(format!("wheels-{version}"));
        if wheels.exists() {
            fs::remove_dir_all(&wheels).with_context(|| wheels.display().to_string())?;
        }
        let mut maturin = self.python(SECONDS_TO_BUILD);
        maturin.args(["-m", "maturin", "build", "--interpreter"]).arg(self.executable());
        maturin.arg("--out").arg(&wheels);
        maturin.args(["--profile", if profile == Profile::Dev { "dev" } else { "wheel" }]);
        // One folder for all versions: no more than PyO3 has to be compiled anew for each. Not
        // cargo's own, which other tasks may hold at the same time.
        maturin.env("CARGO_TARGET_DIR", folder(self.shell).join("build"));
        self.log.step("build", &mut maturin)?;
        only_wheel(&wheels)
    }

    pub(crate) fn install(&self, wheel: &Path) -> Result<()> {
        // The version number of a wheel built anew is still the same: pip would do nothing.
        let mut pip = self.pip();
        pip.args(["install", "--force-reinstall", "--no-deps"]).arg(wheel);
        self.log.step("install", &mut pip)
    }

    fn pip(&self) -> Command {
        let mut pip = self.python(SECONDS_TO_INSTALL);
        pip.args(["-m", "pip", "--quiet", "--disable-pip-version-check"]);
        pip
    }

    fn folder(&self) -> PathBuf {
        folder(self.shell).join(format!("venv-{}", self.interpreter.version))
    }

    fn executable(&self) -> PathBuf {
        let (bin, suffix) = if cfg!(windows) { ("Scripts", ".exe") } else { ("bin", "") };
        self.folder().join(bin).join(format!("python{suffix}"))
    }

    /// What an environment was made from: with anything else in it, it is stale.
    fn stamp(&self) -> Result<String> {
        let requirements = fs::read_to_string(self.shell.root.join(REQUIREMENTS))
            .with_context(|| format!("cannot read {REQUIREMENTS}"))?;
        Ok(format!("{:?}\n{requirements}", self.interpreter))
    }
}

/// Where all that concerns Python is kept.
pub(crate) fn folder(shell: &Shell) -> PathBuf {
    shell.target.join("python")
}

/// Whether a wheel fits other versions too.
pub(crate) fn is_abi3(wheel: &Path) -> bool {
    wheel.file_name().is_some_and(|name| name.to_string_lossy().contains("-abi3-"))
}

fn only_wheel(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    match &paths[..] {
        [wheel] if wheel.extension().is_some_and(|extension| extension == "whl") => {
            Ok(wheel.clone())
        }
        other => bail!("one wheel is expected in {}, not {other:?}", folder.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_abi3, only_wheel};

    #[test]
    fn the_name_of_a_wheel_tells_whom_it_fits() {
        assert!(is_abi3(Path::new("w/manyhands-0.1.0-cp310-abi3-linux_x86_64.whl")));
        assert!(!is_abi3(Path::new("abi3-w/manyhands-0.1.0-cp313-cp313-linux_x86_64.whl")));
    }

    #[test]
    fn no_wheel_is_an_error() {
        assert!(only_wheel(Path::new("/no/such/folder")).is_err());
        assert!(only_wheel(Path::new(env!("CARGO_MANIFEST_DIR"))).is_err());
    }
}
