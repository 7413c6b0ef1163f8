//! Times after which known proxies and load balancers cut a connection.

use std::fmt;
use std::time::Duration;

/// Largest difference between a known and a measured time that fit, or a hundredth of the known time
/// if that is more.
const TOLERANCE: Duration = Duration::from_millis(500);

/// The quantity that a limit bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The time without traffic.
    Idle,
    /// The age of a connection.
    Lifetime,
}

/// A default time limit of a known proxy or load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The program or service, and its setting.
    name: &'static str,
    /// Number of the row in the table.
    row: u8,
    kind: Kind,
    seconds: u64,
    /// Whether the connection is dropped without notice to either end.
    drops_silently: bool,
    /// Whether the default is certain.
    is_certain: bool,
}

impl Limit {
    /// Number of the row in the table.
    pub fn row(&self) -> u8 {
        self.row
    }

    const fn often(self) -> Self {
        Self { is_certain: false, ..self }
    }

    const fn dropping(self) -> Self {
        Self { drops_silently: true, ..self }
    }

    fn fits(&self, time: Duration) -> bool {
        let known = Duration::from_secs(self.seconds);
        known.abs_diff(time) <= TOLERANCE.max(known / 100)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let often = if self.is_certain { "" } else { "often " };
        write!(f, "{} ({often}{} s)", self.name, self.seconds)
    }
}

const fn idle(row: u8, seconds: u64, name: &'static str) -> Limit {
    Limit { name, row, kind: Kind::Idle, seconds, drops_silently: false, is_certain: true }
}

const fn lifetime(row: u8, seconds: u64, name: &'static str) -> Limit {
    Limit { kind: Kind::Lifetime, ..idle(row, seconds, name) }
}

const LIMITS: &[Limit] = &[
    idle(2, 60, "nginx proxy_read_timeout"),
    idle(3, 60, "AWS ALB idle timeout"),
    idle(4, 100, "Cloudflare").often(),
    lifetime(5, 30, "Google Cloud external load balancer, backend timeout"),
    idle(6, 30, "GKE internal load balancer, backend timeout").often(),
    idle(7, 20, "Azure Application Gateway, request timeout"),
    idle(7, 30, "Azure AGIC, request timeout"),
    idle(8, 240, "Azure Load Balancer, idle timeout").dropping(),
    idle(9, 55, "Heroku router"),
    idle(10, 300, "Envoy or Istio stream_idle_timeout"),
    lifetime(11, 15, "Envoy, timeout of the route"),
    idle(12, 50, "HAProxy timeout client or server").often(),
    idle(13, 60, "Apache Timeout"),
    idle(14, 350, "AWS NLB").dropping(),
    idle(15, 350, "AWS Network Firewall").dropping(),
    idle(15, 900, "IPVS of kube-proxy").dropping().often(),
    idle(18, 600, "AWS API Gateway"),
    lifetime(18, 7200, "AWS API Gateway"),
    lifetime(18, 300, "Google Cloud Run, request timeout"),
];

/// Known limits of this kind that a measured time fits. `drops_silently` if the end came without FIN,
/// RST or Close frame.
pub fn fitting(
    kind: Kind,
    time: Duration,
    drops_silently: bool,
) -> impl Iterator<Item = &'static Limit> {
    LIMITS.iter().filter(move |limit| {
        limit.kind == kind && limit.drops_silently == drops_silently && limit.fits(time)
    })
}

#[cfg(test)]
mod tests {
    use super::super::row;
    use super::*;

    fn names(kind: Kind, seconds: f64, drops_silently: bool) -> Vec<String> {
        let fitting = fitting(kind, Duration::from_secs_f64(seconds), drops_silently);
        fitting.map(ToString::to_string).collect()
    }

    #[test]
    fn a_time_fits_the_known_limits_near_it() {
        let minute = [
            "nginx proxy_read_timeout (60 s)",
            "AWS ALB idle timeout (60 s)",
            "Apache Timeout (60 s)",
        ];
        for seconds in [59.5, 60.0, 60.6] {
            assert_eq!(names(Kind::Idle, seconds, false), minute, "{seconds}");
        }
        assert_eq!(names(Kind::Idle, 59.0, false), [""; 0]);
        assert_eq!(names(Kind::Idle, 60.0, true), [""; 0]);
        assert_eq!(names(Kind::Idle, 5.0, false), [""; 0]);
        assert_eq!(
            names(Kind::Idle, 347.0, true),
            ["AWS NLB (350 s)", "AWS Network Firewall (350 s)"]
        );
        assert_eq!(names(Kind::Idle, 100.2, false), ["Cloudflare (often 100 s)"]);
        assert_eq!(names(Kind::Lifetime, 15.1, false), ["Envoy, timeout of the route (15 s)"]);
    }

    #[test]
    fn each_limit_is_in_the_table() {
        for limit in LIMITS {
            let row = row(limit.row()).unwrap();
            let shown = match limit.seconds {
                240 => "4 min".into(),
                300 => "5 min".into(),
                600 => "10 min".into(),
                7200 => "2 h".into(),
                seconds => format!("{seconds} s"),
            };
            assert!(row.default.contains(&shown), "{limit}: {}", row.default);
            let is_often = row.default.contains("often");
            assert!(limit.is_certain || is_often, "{limit}: {}", row.default);
        }
    }
}
