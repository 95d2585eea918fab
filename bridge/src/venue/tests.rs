//! A venue's broker is a real mosquitto, and readers publish there with a client of their own.
