//! The process that sent a message in the unix domain: the variables `peer_pid`, `peer_uid` and
//! `peer_gid`. The kernel vouches for them (unix(7), SO_PEERCRED and SCM_CREDENTIALS).

/// Digits of the greatest `u32`.
const DIGITS_MAX: usize = 10;

/// Who a process is, as text: written once for as long as it is the same one that sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    pid: Decimal,
    uid: Decimal,
    gid: Decimal,
}

impl Credentials {
    /// A process by its numbers; pid 0 is one that has none where we run (another PID namespace).
    pub fn new(pid: u32, uid: u32, gid: u32) -> Credentials {
        Credentials { pid: Decimal::new(pid), uid: Decimal::new(uid), gid: Decimal::new(gid) }
    }

    /// Its numbers: pid, uid, gid.
    pub fn numbers(&self) -> (u32, u32, u32) {
        (self.pid.number, self.uid.number, self.gid.number)
    }

    /// Its process; `None`: it has none where we run.
    pub fn pid(&self) -> Option<&[u8]> {
        (self.pid.number != 0).then(|| self.pid.text())
    }

    /// Its user.
    pub fn uid(&self) -> &[u8] {
        self.uid.text()
    }

    /// Its group.
    pub fn gid(&self) -> &[u8] {
        self.gid.text()
    }
}

/// A number and its digits, which end the array: `start < DIGITS_MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Decimal {
    number: u32,
    digits: [u8; DIGITS_MAX],
    start: usize,
}

impl Decimal {
    fn new(number: u32) -> Decimal {
        let (mut digits, mut start, mut rest) = ([0; DIGITS_MAX], DIGITS_MAX, number);
        while rest > 0 || start == DIGITS_MAX {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        Decimal { number, digits, start }
    }

    fn text(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_text() {
        for number in [0, 1, 9, 10, 65_534, u32::MAX] {
            let process = Credentials::new(number, number, number);
            let text = number.to_string();
            assert_eq!((process.uid(), process.gid()), (text.as_bytes(), text.as_bytes()));
            assert_eq!(process.numbers(), (number, number, number));
        }
    }

    #[test]
    fn a_process_of_another_namespace_has_no_pid() {
        assert_eq!(Credentials::new(0, 1000, 100).pid(), None);
        assert_eq!(Credentials::new(1, 1000, 100).pid(), Some(&b"1"[..]));
    }
}
