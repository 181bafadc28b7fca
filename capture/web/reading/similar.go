package reading

import "unicode"

// shingle is the number of characters that are compared at a time.
const shingle = 4

// Similarity says how alike two texts are, from 0 to 1: the Dice coefficient
// of their runs of four characters, each counted as often as it occurs. White
// space is left out, so that line breaks and the gaps of tables do not
// matter. Text that moved costs little; text that is missing, added or
// changed costs its share. The time is linear in the lengths. Two texts
// without characters are alike.
func Similarity(a, b string) float64 {
	counts := map[uint64]int{}
	na := shingles(a, func(h uint64) { counts[h]++ })
	common := 0
	nb := shingles(b, func(h uint64) {
		if counts[h] > 0 {
			counts[h]--
			common++
		}
	})
	if na+nb == 0 {
		return 1
	}
	return 2 * float64(common) / float64(na+nb)
}

// shingles calls f with each run of characters, as a number of 16 bits of
// each; a shorter text is one run. It returns how many there are.
func shingles(s string, f func(uint64)) int {
	var h uint64
	seen, n := 0, 0
	for _, r := range s {
		if unicode.IsSpace(r) {
			continue
		}
		h = h<<16 | uint64(uint16(r)^uint16(r>>5&0xF800))
		if seen++; seen >= shingle {
			f(h)
			n++
		}
	}
	if seen > 0 && seen < shingle {
		f(h)
		n++
	}
	return n
}
