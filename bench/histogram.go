package main

import (
	"math"
	"time"
)

// histogram counts durations in buckets that grow by 1 %, from 10 us to minutes.
type histogram struct {
	buckets [histogramBuckets]uint64
	n       uint64
	largest time.Duration
}

const (
	histogramBuckets = 1800
	histogramLowest  = 10 * time.Microsecond
	histogramGrowth  = 1.01
)

func (h *histogram) add(d time.Duration) {
	h.n++
	h.largest = max(h.largest, d)
	i := 0
	if d > histogramLowest {
		i = int(math.Log(float64(d)/float64(histogramLowest))/math.Log(histogramGrowth)) + 1
	}
	h.buckets[min(i, histogramBuckets-1)]++
}

// at returns the upper edge of the bucket in which quantile q lies.
func (h *histogram) at(q float64) time.Duration {
	want := uint64(math.Ceil(q * float64(h.n)))
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; n > 0 && seen >= want {
			return min(h.largest, time.Duration(float64(histogramLowest)*math.Pow(histogramGrowth, float64(i))))
		}
	}
	return h.largest
}
