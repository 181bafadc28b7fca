package corpus

import "maps"

// Sent returns how often each address was sent whole in a visit: what a
// record of the visit must hold as often, and nothing beside.
func (s *Server) Sent(visit string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.served[visit])
}
