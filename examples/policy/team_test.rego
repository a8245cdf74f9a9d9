package team

web(team) := {"services": {"web": {"labels": {"team": team}, "domains": []}}}

test_a_known_team_may if {
	count(deny) == 0 with input as web("shop")
}

test_nobody_else_may if {
	some found in deny with input as web("pirates")
	found.id == "TEAM1"
}
