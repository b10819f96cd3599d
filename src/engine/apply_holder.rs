//! Applies what was done about holders and the end of their cards.

use crate::domain::account::Kyc;
use crate::domain::card::{CardId, ExpiryMonth};
use crate::domain::holder::{Holder, HolderId};

use super::apply::Fit;
use super::operation_holder::{HolderOperation, Whose};
use super::state::State;

impl State {
    pub(super) fn apply_holder_operation(&mut self, operation: &HolderOperation) -> Fit {
        match operation {
            HolderOperation::Registered {
                programme,
                applicant,
                kyc,
            } => {
                let programme = self.programme_index(*programme)?;
                self.holders.push(Holder {
                    id: HolderId(self.sequence),
                    programme,
                    person: *applicant,
                    kyc: *kyc,
                    account: None,
                });
                Ok(())
            }
            HolderOperation::AccountOpened {
                holder,
                applicant,
                opened,
            } => {
                self.apply_account_opened(opened)?;
                if let Some(applicant) = applicant {
                    let programme = self.programme_index(opened.programme)?;
                    self.holders.push(Holder {
                        id: *holder,
                        programme,
                        person: *applicant,
                        kyc: opened.kyc,
                        account: None,
                    });
                }
                let linked = self.holders.link(*holder, opened.account);
                linked.ok_or_else(|| "an account of an unknown holder".to_owned())
            }
            HolderOperation::KycChanged(whose, kyc) => self.change_kyc(*whose, *kyc),
            HolderOperation::CardsEnded(ended) => ended
                .iter()
                .try_for_each(|(card, expiry)| self.end_card(*card, *expiry)),
        }
    }

    fn change_kyc(&mut self, whose: Whose, kyc: Kyc) -> Fit {
        let (holder, account) = match whose {
            Whose::Holder(id) => {
                let holder = self.holders.get(id).ok_or("an unknown holder changes")?;
                (Some(id), holder.account)
            }
            Whose::Account(id) => (self.holders.of_account(id).map(|it| it.id), Some(id)),
        };
        if let Some(holder) = holder.and_then(|id| self.holders.get_mut(id)) {
            holder.kyc = kyc;
        }
        let Some(account) = account else {
            return Ok(());
        };
        let record = self.account_mut(account).ok_or("an unknown account")?;
        record.account.kyc = kyc;
        // Cards whose end came before may go on now.
        for id in record.cards.clone() {
            let expiry = self.card(id).and_then(|card| card.expiry);
            self.holders.note_again(id, expiry);
        }
        Ok(())
    }

    fn end_card(&mut self, id: CardId, expiry: Option<ExpiryMonth>) -> Fit {
        let taken = self.holders.take_due(id);
        taken.ok_or("a card ends before the one that is next")?;
        let Some(expiry) = expiry else {
            self.holders.note_lapsed(id);
            return Ok(());
        };
        let position = id.0.checked_sub(1).and_then(|it| usize::try_from(it).ok());
        let card = position
            .and_then(|position| self.cards.get_mut(position))
            .ok_or("an unknown card goes on")?;
        card.expiry = Some(expiry);
        self.holders.note_end(id, expiry);
        Ok(())
    }
}
