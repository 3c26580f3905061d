"""What people do with alerts: review queue, outcomes and audit trail. Nothing of it takes part in a decision."""
