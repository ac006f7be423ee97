//! The command line.

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::control::Control;
use crate::url::Url;

/// The programs that know where the configuration is, the best first. Debian's httpd needs variables
/// that `apache2ctl` sets; elsewhere `apachectl` may pass nothing on to httpd but one word.
const PROGRAMS: [&str; 4] = ["apache2ctl", "httpd", "apachectl", "apache2"];

/// Folders of programs for administrators, which are not on the `PATH` of others.
const FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/apache2/bin"];

/// What to examine.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// The WebSocket to open, such as wss://www.example.com/echo
    pub url: Option<Url>,
    /// The origin of the page that opens it [default: the site of the URL]
    #[arg(long)]
    pub origin: Option<String>,
    /// A file with certificates (PEM) to trust, beside those of the system
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// How long to wait for each answer
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// httpd, or Debian's apache2ctl [default: the one of this machine]
    #[arg(long, value_name = "PROGRAM")]
    pub apachectl: Option<PathBuf>,
    /// httpd's configuration file, if it is not the usual one
    #[arg(short = 'f', long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Look only at the URL, not at the httpd of this machine
    #[arg(long, requires = "url")]
    pub remote: bool,
}

impl Options {
    /// The program that knows the configuration, if there is one.
    pub(crate) fn control(&self) -> Option<Control> {
        let program = self.apachectl.clone().or_else(find)?;
        let mut words = vec![program.into_os_string()];
        if let Some(file) = &self.config {
            words.push("-f".into());
            words.push(file.into());
        }
        Some(Control::new(words))
    }

    pub(crate) fn limit(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

fn find() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = env::split_paths(&path)
        .chain(FOLDERS.map(PathBuf::from))
        .collect();
    PROGRAMS.iter().find_map(|program| {
        let mut files = folders.iter().map(|folder| folder.join(program));
        files.find(|file| file.is_file())
    })
}
