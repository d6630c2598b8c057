"""Plan, grow, switch, dial, report, merge: the growth of a KerasHub model."""
