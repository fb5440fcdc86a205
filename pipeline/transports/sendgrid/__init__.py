"""Mail through SendGrid: requests of up to a thousand copies, and the events that come back."""
