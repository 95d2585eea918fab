//! Push: who is away still learns of a message, once. The worker reads what happens with a cursor of its own, decides member by member, and
//! hands each push to the gateway of its target.

pub mod gateway;
