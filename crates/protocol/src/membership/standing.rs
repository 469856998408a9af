//! As whom one asks the origin next: who has no credential and a token enrols; who has one shows it; whose credential is not taken any more enrols
//! again if it can.
//!
//! | credential | token | the origin said last | next |
//! | --- | --- | --- | --- |
//! | yes | any | anything but that it does not know it | with the credential |
//! | yes | yes | that it does not know it | enrols again |
//! | yes | no | that it does not know it | with the credential, later: its database may come back |
//! | no | yes | anything | enrols |
//! | no | no | anything | without one: an origin that asks for none takes its word |

use super::Meaning;

/// As whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum As {
    /// Enrols, with its token.
    Newcomer,
    /// With its credential.
    Member,
    /// By its name alone.
    Nameless,
}

/// What one has to show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// A token to enrol with (or a client certificate that does its work).
    pub has_token: bool,
    /// A credential from an earlier enrolment.
    pub has_credential: bool,
    is_unknown: bool,
}

impl Standing {
    /// At the start.
    pub fn new(has_token: bool, has_credential: bool) -> Self {
        Self { has_token, has_credential, is_unknown: false }
    }

    /// As whom to ask next.
    pub fn next(&self) -> As {
        match (self.has_credential, self.has_token) {
            (true, true) if self.is_unknown => As::Newcomer,
            (true, _) => As::Member,
            (false, true) => As::Newcomer,
            (false, false) => As::Nameless,
        }
    }

    /// The origin answered a member.
    pub fn answered(&mut self, meaning: Meaning) {
        match meaning {
            Meaning::Unknown => self.is_unknown = true,
            Meaning::Taken => self.is_unknown = false,
            _ => {}
        }
    }

    /// It has enrolled, and has a credential that was never shown.
    pub fn enrolled(&mut self) {
        *self = Self { has_credential: true, is_unknown: false, ..*self };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_whom_one_asks() {
        for (has_credential, has_token, said, expected) in [
            (true, true, None, As::Member),
            (true, true, Some(Meaning::Taken), As::Member),
            (true, true, Some(Meaning::Busy), As::Member),
            (true, true, Some(Meaning::Forbidden), As::Member),
            (true, true, Some(Meaning::Unknown), As::Newcomer),
            (true, false, Some(Meaning::Unknown), As::Member),
            (false, true, None, As::Newcomer),
            (false, true, Some(Meaning::Failed), As::Newcomer),
            (false, false, Some(Meaning::Unknown), As::Nameless),
        ] {
            let mut standing = Standing::new(has_token, has_credential);
            said.into_iter().for_each(|said| standing.answered(said));
            assert_eq!(standing.next(), expected, "{has_credential} {has_token} {said:?}");
        }
    }

    #[test]
    fn a_new_credential_is_shown_and_not_thrown_away_for_what_was_said_of_the_old_one() {
        let mut standing = Standing::new(true, true);
        standing.answered(Meaning::Unknown);
        standing.enrolled();
        assert_eq!(standing.next(), As::Member);
    }
}
