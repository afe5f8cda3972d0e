"""`penstock top`: what every actor does now, and who holds back whom."""
