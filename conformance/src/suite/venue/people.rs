//! Who comes: attendees as a ticket shop lists them, and the badges that they wear.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::{Rng, RngCore};

use super::format::{Family, Format};
use super::writing::{Writing, meanings, printed};

/// Families of chips, and how many bytes their numbers have.
const CHIPS: [(Family, &[usize]); 4] = [(Family::Near, &[4, 7]), (Family::Far, &[12]), (Family::Low, &[4]), (Family::Hub, &[5])];

/// A badge's code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// A chip's number.
    Chip(Vec<u8>),
    /// What is printed.
    Printed(String),
}

impl Code {
    /// As an organiser writes it when the badge is given out.
    #[must_use]
    pub fn given(&self) -> String {
        match self {
            Self::Chip(chip) => Writing::Upper.write(chip),
            Self::Printed(text) => text.clone(),
        }
    }

    /// As a reader of that kind writes it.
    pub fn read_by(&self, format: Format, rng: &mut StdRng) -> String {
        match self {
            Self::Chip(chip) => format.write(chip, rng),
            Self::Printed(text) => format.print(text, rng),
        }
    }
}

/// Makes codes of which no two can be taken for each other.
#[derive(Debug, Default)]
pub struct Mint {
    taken: HashSet<String>,
}

impl Mint {
    /// A new one.
    pub fn code(&mut self, family: Family, rng: &mut StdRng) -> Code {
        let Some((_, lengths)) = CHIPS.iter().find(|(chip, _)| *chip == family) else {
            return Code::Printed(printed(rng));
        };
        loop {
            let mut chip = vec![0; lengths[rng.random_range(0..lengths.len())]];
            rng.fill_bytes(&mut chip);
            let meanings = meanings(&chip);
            // No chip is numbered 0, and none begins or ends with it here: what a leading zero is worth differs between readers.
            let plain = chip.first() != Some(&0) && chip.last() != Some(&0);
            if plain && !meanings.iter().any(|meaning| self.taken.contains(meaning)) {
                self.taken.extend(meanings);
                return Code::Chip(chip);
            }
        }
    }
}

/// Somebody with a ticket.
#[derive(Debug, Clone)]
pub struct Person {
    /// The ticket's number at the shop.
    pub ticket: String,
    /// Display name.
    pub name: String,
    /// Company.
    pub company: String,
    near: Code,
    far: Code,
    low: Code,
    hub: Code,
    printed: Code,
}

impl Person {
    /// The badge that readers of a family read.
    #[must_use]
    pub fn badge(&self, family: Family) -> &Code {
        match family {
            Family::Near => &self.near,
            Family::Far => &self.far,
            Family::Low => &self.low,
            Family::Hub => &self.hub,
            Family::Printed => &self.printed,
        }
    }
}

/// Everybody with a ticket.
pub fn attendees(count: usize, mint: &mut Mint, rng: &mut StdRng) -> Vec<Person> {
    (0..count)
        .map(|at| Person {
            ticket: format!("T{at:05}"),
            name: format!("Guest {at:05}"),
            company: format!("Company, \"{}\"", at % 97),
            near: mint.code(Family::Near, rng),
            far: mint.code(Family::Far, rng),
            low: mint.code(Family::Low, rng),
            hub: mint.code(Family::Hub, rng),
            printed: mint.code(Family::Printed, rng),
        })
        .collect()
}

/// The ticket shop's list: one line each, with the badge for doors.
#[must_use]
pub fn list(people: &[Person]) -> String {
    let mut csv = String::from("Ticket ID,Full name,Mail,Employer,Position,Ticket type,Badge\r\n");
    for person in people {
        let Person { ticket, name, company, .. } = person;
        let company = company.replace('"', "\"\"");
        let badge = person.near.given();
        csv.push_str(&format!("{ticket},{name},{ticket}@example.org,\"{company}\",Engineer,Full,{badge}\r\n"));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn no_two_badges_can_be_taken_for_each_other() {
        let (mut mint, mut rng) = (Mint::default(), StdRng::seed_from_u64(7));
        let people = attendees(300, &mut mint, &mut rng);
        let mut seen = HashSet::new();
        for person in &people {
            for (family, _) in CHIPS {
                let Code::Chip(chip) = person.badge(family) else { panic!("{family:?} is no chip") };
                let own: HashSet<String> = meanings(chip).into_iter().collect();
                assert!(own.into_iter().all(|meaning| seen.insert(meaning)), "{chip:?} can be taken for another");
            }
        }
    }

    #[test]
    fn the_list_has_a_line_for_everybody() {
        let people = attendees(3, &mut Mint::default(), &mut StdRng::seed_from_u64(7));
        let csv = list(&people);
        assert_eq!(csv.lines().count(), 4);
        assert!(
            csv.lines().nth(2).expect("a line").starts_with("T00001,Guest 00001,T00001@example.org,\"Company, \"\"1\"\"\",Engineer,Full,")
        );
    }
}
