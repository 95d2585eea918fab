//! Packets good and bad, each bad one with the clause that it breaks; and whatever bytes there are, no panic.

use proptest::prelude::*;

use super::*;
