"""What comes out: outcomes by the policy, reasons in plain words, the decision record, and alerts as episodes."""
