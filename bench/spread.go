package main

import "slices"

// spread describes repeated measurements.
type spread struct {
	n                         int
	median, low, high, q1, q3 float64
}

// spreadOf returns the median, extremes and quartiles (interpolated linearly) of values.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	v := slices.Clone(values)
	slices.Sort(v)
	at := func(q float64) float64 {
		x := q * float64(len(v)-1)
		i := int(x)
		if i+1 >= len(v) {
			return v[len(v)-1]
		}
		return v[i] + (x-float64(i))*(v[i+1]-v[i])
	}
	return spread{n: len(v), median: at(.5), low: v[0], high: v[len(v)-1], q1: at(.25), q3: at(.75)}
}

// ratios divides pair by pair, as far as there are pairs.
func ratios(a, b []float64) []float64 {
	all := make([]float64, 0, len(a))
	for i := range min(len(a), len(b)) {
		if b[i] != 0 {
			all = append(all, a[i]/b[i])
		}
	}
	return all
}
