//! The process at the other end of a ring or a futex: this program, started again.

use std::env;
use std::fmt::Display;
use std::io;
use std::os::fd::BorrowedFd;
use std::process::{self, Child, Command};

use super::end_with_parent;

/// Ends when it is dropped.
pub(super) struct OtherEnd(Child);

impl OtherEnd {
    /// Starts it, to [`serve`] what this variable stands for, with these as its standard input and output.
    pub(super) fn start(
        variable: &str,
        input: BorrowedFd<'_>,
        output: BorrowedFd<'_>,
    ) -> io::Result<Self> {
        let mut command = Command::new("/proc/self/exe");
        command.env(variable, "");
        command.stdin(input.try_clone_to_owned()?).stdout(output.try_clone_to_owned()?);
        Ok(Self(command.spawn()?))
    }
}

impl Drop for OtherEnd {
    fn drop(&mut self) {
        // Already dead is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Does not return in a process that was started for this variable.
pub(super) fn serve<E: Display>(name: &str, variable: &str, work: fn() -> Result<(), E>) {
    if env::var_os(variable).is_some() {
        end_with_parent();
        if let Err(reason) = work() {
            eprintln!("the worker of a {name}: {reason}");
        }
        process::exit(1);
    }
}
