"""What AWS and Google Cloud have in common."""
