package team

known := {"shop", "data", "platform"}

deny contains {"msg": msg, "service": name, "path": sprintf("services.%s.labels.team", [name]), "id": "TEAM1"} if {
	some name, service in input.services
	service.labels.team
	not service.labels.team in known
	msg := sprintf("`%s` belongs to %s, which is no team of ours", [name, service.labels.team])
}

warn contains {"msg": msg, "service": name} if {
	some name, service in input.services
	some domain in service.domains
	not endswith(domain.host, ".example.com")
	not endswith(domain.host, ".localhost")
	msg := sprintf("`%s` is served at %s, outside of example.com", [name, domain.host])
}
