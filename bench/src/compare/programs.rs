//! Which programs are there, and which versions they are.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use super::contestant::Program;

/// Where servers lie that the PATH of a user leaves out.
const MORE_DIRECTORIES: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];

/// A program that can be started.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) executable: PathBuf,
    pub(crate) version: String,
    /// All that it says when it is asked for its version: nginx tells what it was built with.
    pub(crate) details: String,
}

/// The program at `given`, or else where it is usually: Outpost beside this program, the others where PATH says. An error says why it
/// cannot be measured.
pub(crate) fn find(program: Program, given: Option<&Path>) -> Result<Found, String> {
    let (name, ask) = match program {
        Program::Outpost => ("outpost-proxy", "--version"),
        Program::Nginx => ("nginx", "-V"),
        Program::Varnish => ("varnishd", "-V"),
    };
    let executable = match (given, program) {
        (Some(path), _) => {
            path.is_file().then(|| path.to_path_buf()).ok_or(format!("there is no {}", path.display()))?
        }
        (None, Program::Outpost) => {
            beside(name).ok_or("outpost-proxy is not beside this program; give it with --outpost")?
        }
        (None, _) => in_path(name).ok_or(format!("{name} is not installed"))?,
    };
    let output = Command::new(&executable).arg(ask).output().map_err(|error| format!("{name} {ask}: {error}"))?;
    // Some print it as an error.
    let text = [output.stdout, output.stderr].concat();
    let details = String::from_utf8_lossy(&text).into_owned();
    Ok(Found { executable, version: first_line(&details), details })
}

fn beside(name: &str) -> Option<PathBuf> {
    let path = env::current_exe().ok()?.parent()?.join(name);
    path.is_file().then_some(path)
}

fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let directories = env::split_paths(&path).chain(MORE_DIRECTORIES.map(PathBuf::from));
    directories.map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// `nginx version: nginx/1.22.1` says its name once too often.
fn first_line(text: &str) -> String {
    let line = text.lines().next().unwrap_or("unknown version").trim();
    line.strip_prefix("nginx version: ").unwrap_or(line).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_said() {
        let missing = find(Program::Nginx, Some(Path::new("/nowhere/nginx"))).unwrap_err();
        assert_eq!(missing, "there is no /nowhere/nginx");
    }

    #[test]
    fn a_version_is_one_line() {
        assert_eq!(first_line("nginx version: nginx/1.22.1\n"), "nginx/1.22.1");
        assert_eq!(first_line("varnishd (varnish-7.1.1)\nCopyright\n"), "varnishd (varnish-7.1.1)");
        assert_eq!(first_line(""), "unknown version");
    }
}
