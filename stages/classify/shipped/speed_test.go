package shipped

import (
	"testing"
)

// speedTexts are what customers write to shops, by kind of text.
func speedTexts() map[string][]string {
	return map[string][]string{
		"ascii": {
			"where is my order", "can i get a refund for this please", "Hi, I ordered a jacket last week and it still hasn't arrived",
			"the zipper broke after two days, i want a new one", "do you have these in size 8?", "pls stop texting me", "thanks so much!!",
			"I'd like to speak to a manager about my order 10117", "ok great, what time do you close tomorrow", "wrong size, how do i send it back",
		},
		"latin": {
			"¿Dónde está mi pedido? Todavía no ha llegado", "je n'ai toujours pas reçu mon colis, c'est où ?", "Ich möchte meine Bestellung zurückschicken, die Größe passt nicht",
			"o casaco chegou rasgado, não é aceitável", "perché il pacco non è ancora arrivato?", "é possível trocar pelo número maior?", "gdzie jest moja paczka, czekam już tydzień",
			"siparişim nerede, iade etmek istiyorum", "příšerné – já už nechci", "mag ik een grotere maat, deze is te klein? dank je wél",
		},
		"cjk": {
			"注文はどこですか？まだ届いていません", "サイズが合わないので返品したいです", "我的订单到哪里了？", "裙子太紧了，怎么退货", "もうメッセージを送らないでください",
			"担当者に繋いでください", "这件衣服有别的颜色吗", "キャンセルしたいのですが", "收到的杯子碎了两个！", "营业时间是几点到几点？",
		},
		"emoji": {
			"where is my order 😡😡", "thanks 🙏🏽❤️", "love it 😍 do you have it in blue?", "merci beaucoup 😊", "注文キャンセルしたい😢",
			"it’s broken 💔… what now?", "👍", "nicht angekommen 😤 wo ist es?", "ya no quiero más mensajes 🙄", "👩‍👧 gift for my daughter, size S?",
		},
	}
}

func TestReadingDoesNotAllocate(t *testing.T) {
	c := shippedClassifier(t)
	for kind, texts := range speedTexts() {
		for _, text := range texts {
			if n := testing.AllocsPerRun(20, func() { c.Read(text, "en") }); n != 0 {
				t.Errorf("%s: reading %q allocates %v times", kind, text, n)
			}
		}
	}
}

// BenchmarkRead reads typical messages; an operation is one message.
func BenchmarkRead(b *testing.B) {
	c := shippedClassifier(b)
	for kind, texts := range speedTexts() {
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Read(texts[i%len(texts)], "en")
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
