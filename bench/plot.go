package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// colourOf a side, the same in every plot.
func colourOf(side string) color.Color {
	switch side {
	case sidePass:
		return color.RGBA{0x9a, 0xa5, 0xb1, 0xff}
	case sideHandoff:
		return color.RGBA{0x1f, 0x6f, 0xeb, 0xff}
	case sideStreams:
		return color.RGBA{0xe3, 0x6f, 0x1e, 0xff}
	case sideStreamsNoCache:
		return color.RGBA{0xf2, 0xb1, 0x7c, 0xff}
	}
	return color.RGBA{0x5b, 0x9f, 0x4a, 0xff}
}

// series of one side: a value with its spread for every label; n 0 where there is none.
type series struct {
	side   string
	values []spread
}

// plots draws throughput, CPU per record and latency as SVG and PNG.
func plots(dir string, r *results, plan [][]experiment) error {
	var drains, latencies []experiment
	for _, phase := range plan {
		for _, e := range phase {
			if !measured(r, e) {
				continue
			}
			if e.Kind == kindDrain && len(e.Sides) > 1 {
				drains = append(drains, e)
			}
			if e.Kind == kindLatency {
				latencies = append(latencies, e)
			}
		}
	}
	for _, p := range []struct{ file, title, metric string }{
		{"throughput", "Records a second, in thousands", metricRate},
		{"cpu", "CPU of the client's process per record, microseconds", metricCPU},
	} {
		scale := 1.0
		if p.metric == metricRate {
			scale = 1000
		}
		labels, all := drainSeries(r, drains, p.metric, scale)
		if err := bars(filepath.Join(dir, p.file), p.title, labels, all); err != nil {
			return err
		}
	}
	for i, e := range latencies {
		metrics := []string{metricP50, metricP99, metricP999}
		var all []series
		for _, side := range e.Sides {
			s := series{side: side}
			for _, m := range metrics {
				s.values = append(s.values, r.spread(e.Name, side, m))
			}
			all = append(all, s)
		}
		name := filepath.Join(dir, "latency")
		if i > 0 {
			name = fmt.Sprintf("%s-%d", name, i+1)
		}
		if err := bars(name, "Milliseconds from due to readable: "+strings.TrimPrefix(e.Name, "latency/"), metrics, all); err != nil {
			return err
		}
	}
	return nil
}

// drainSeries collects a metric of every side over all experiments.
func drainSeries(r *results, drains []experiment, metric string, scale float64) (labels []string, all []series) {
	for _, e := range drains {
		labels = append(labels, strings.ReplaceAll(strings.TrimPrefix(e.Name, "drain/"), "/", "\n"))
	}
	for _, side := range allSides() {
		s := series{side: side}
		for _, e := range drains {
			v := r.spread(e.Name, side, metric)
			v.median, v.low, v.high = v.median/scale, v.low/scale, v.high/scale
			s.values = append(s.values, v)
		}
		all = append(all, s)
	}
	return labels, all
}

// whiskers are the lowest and the highest values around medians.
type whiskers struct {
	plotter.XYs
	plotter.YErrors
}

// bars draws groups of bars, one group a label and one bar a series, with whiskers from the lowest to
// the highest round. Nothing to draw is no error.
func bars(path, title string, labels []string, all []series) error {
	if len(labels) == 0 {
		return nil
	}
	p := plot.New()
	p.Title.Text = title
	p.Legend.Top = true
	for i, s := range all {
		// Groups are one apart, with a bar's room between them.
		width := 1 / float64(len(all)+1)
		shift := (float64(i) - float64(len(all)-1)/2) * width
		var lines whiskers
		var boxes []plotter.XYer
		for j, v := range s.values {
			x := float64(j) + shift
			boxes = append(boxes, plotter.XYs{{X: x - width/2, Y: 0}, {X: x - width/2, Y: v.median}, {X: x + width/2, Y: v.median}, {X: x + width/2, Y: 0}})
			lines.XYs = append(lines.XYs, plotter.XY{X: x, Y: v.median})
			lines.YErrors = append(lines.YErrors, struct{ Low, High float64 }{v.median - v.low, v.high - v.median})
		}
		for j, box := range boxes {
			drawn, err := plotter.NewPolygon(box)
			if err != nil {
				return fmt.Errorf("draw %s: %w", title, err)
			}
			drawn.Color, drawn.Width = colourOf(s.side), 0
			p.Add(drawn)
			if j == 0 {
				p.Legend.Add(s.side, drawn)
			}
		}
		spans, err := plotter.NewYErrorBars(lines)
		if err != nil {
			return fmt.Errorf("draw %s: %w", title, err)
		}
		p.Add(spans)
	}
	p.NominalX(labels...)
	p.X.Min, p.X.Max = -.6, float64(len(labels))-.4
	p.Y.Min, p.Y.Max = 0, p.Y.Max*1.5 // room for the legend
	size := vg.Length(max(6, 1.3*float64(len(labels)))) * vg.Inch
	for _, format := range []string{".svg", ".png"} {
		if err := p.Save(size, 4*vg.Inch, path+format); err != nil {
			return fmt.Errorf("write %s%s: %w", path, format, err)
		}
	}
	return nil
}
