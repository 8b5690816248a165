/**
 * Text to calibrate on when the user gives none: stories, prose, dialogue, facts, letters, lists, numbers, code
 * and a dozen languages, so that every kind of input reaches the layers. Written for this project.
 */
export const builtinText = `Once upon a time there was a small brown hedgehog called Pim who lived under the roots of an apple tree. Pim was afraid of only one thing: the dark pond at the end of the garden. One evening his friend the frog did not come to supper. Pim waited and waited. "She must be stuck," he said to himself. "And if she is stuck, somebody has to help her." So he took a lantern, which was really a firefly in a jar, and walked slowly through the wet grass. At the pond he heard a tiny voice. "Pim, is that you? My foot is caught between two stones!" Pim put down the jar, rolled the smaller stone away, and the frog hopped free. They both looked at the water, where the moon was floating like a silver plate. "It is not so bad here," said Pim. "I told you," said the frog, and they went home to eat the soup, which was cold by then, but still very good.

Lucy had a red kite with a long yellow tail. Every day she ran up the hill with her brother Tom and let the wind take it. One day the string broke. The kite flew over the houses, over the church, over the river, and then they could not see it any more. Lucy cried. Tom gave her his handkerchief and said, "Let's ask the wind to bring it back." They sat down and closed their eyes and asked as politely as they could. Nothing happened. But the next morning an old man knocked at the door. He had a red kite under his arm. "I found this on my roof," he said, "and it has a name written on it." Lucy jumped for joy. She baked him a cake, and from then on the three of them went up the hill together.

The clockmaker's daughter had never been told which key belonged to the cabinet in the back room, and she had never asked, because in that house questions were answered with silence and silence with more silence. But on the morning after the funeral, with the shutters still closed and the smell of lamp oil hanging about the stairs, she found that she knew it without having been told. It was the smallest of the seven, worn smooth at the edges like a coin that has passed through many pockets. It turned without a sound. Inside were no letters, no money, nothing that the neighbours would later swear must have been there: only forty-one watches, each stopped at a different minute, and beneath each of them a slip of paper with a name. She read them slowly. Some were people she had known. The last one was her own, and the watch above it was still running.

He had not meant to stay in the town longer than it takes to change trains. That was in October. By March he had a room above the bakery, a library card, a quarrel with the postmaster, and opinions about the new bridge. People stopped asking him where he came from, and began to ask him what he thought of the weather, which is how towns of that size tell a stranger that he may stop being one.

"You're late."
"I know. I'm sorry. The bus didn't come, and then it came twice."
"How can a bus come twice?"
"Two of them, I mean. One right behind the other. The first was full, the second was empty, and of course I'd already squeezed into the first."
She laughed in spite of herself. "Sit down. I ordered for you. You'll have the fish whether you like it or not."
"I don't like fish."
"That's what I told the waiter, and he said nobody does until they've tried it here."
"And what are you having?"
"The soup. I don't like fish either."

MARGARET. You never told me that you had a brother.
EDWIN. You never asked.
MARGARET. One doesn't ask people whether they have brothers, Edwin. One waits for them to be mentioned, at Christmas, for instance, or when there's an inheritance.
EDWIN. There is no inheritance.
MARGARET. Then why is he standing in the garden with two suitcases?

Water is one of the few substances that expand when they freeze. In ice the molecules are held in a lattice of hexagonal rings by hydrogen bonds, and this arrangement takes up about nine per cent more room than the disorder of the liquid. Ice therefore floats, lakes freeze from the top, and fish survive the winter in water that stays near four degrees Celsius, the temperature at which it is densest. The same property splits rocks: water that has seeped into a crack pushes it wider every time it freezes, until after enough winters a cliff becomes a slope of rubble.

Photosynthesis takes place in two stages. In the first, which needs light, chlorophyll absorbs photons and passes the energy to electrons taken from water; oxygen is released as a by-product, and the cell gains ATP and NADPH. In the second, often called the Calvin cycle, those molecules drive the fixation of carbon dioxide into three-carbon sugars. The enzyme responsible, RuBisCO, is slow and not very selective: it sometimes grasps oxygen instead, and the plant has to spend energy to repair the mistake. Because it is so inefficient, leaves contain a great deal of it, which makes it probably the most abundant protein on Earth.

The printing press did not invent the book, but it changed what a book was for. A manuscript was an object that somebody owned; an edition was a statement made to people whom the author would never meet. Within fifty years of Gutenberg's Bible, presses were at work in more than two hundred towns, and the price of a text had fallen by something like four fifths. Errors, too, were multiplied: a slip of the compositor's hand now reached a thousand readers at once, and the custom of printing a list of corrections at the end is almost as old as printing itself.

The Danube rises in the Black Forest and reaches the Black Sea about 2,850 kilometres later, having passed through or along ten countries and four capital cities: Vienna, Bratislava, Budapest and Belgrade. For much of antiquity it was the northern frontier of the Roman Empire. Its delta, in Romania and Ukraine, is among the largest wetlands in Europe and home to pelicans, herons, sturgeon and more than three hundred kinds of birds.

An economy can grow in three ways. It can use more labour, it can use more capital, or it can find better ways of combining the two. Economists call the last of these total factor productivity, and it is measured, somewhat embarrassingly, as whatever is left over once the other two have been accounted for. Robert Solow, who did the sum for the United States in 1957, found that this residual explained roughly seven eighths of the growth in output per hour. It has been described ever since as a measure of our ignorance.

In music, an interval of an octave corresponds to a doubling of frequency. Equal temperament divides the octave into twelve steps of the same ratio, the twelfth root of two, about 1.0595. The fifth, seven of those steps, comes to 1.4983 instead of the pure 1.5: close enough that most listeners never notice, far enough that singers without accompaniment tend to drift away from the piano.

To make a simple bread, mix 500 g of strong flour with 10 g of salt and 7 g of dried yeast. Add 320 ml of lukewarm water and stir until no dry flour is left. Cover the bowl and leave it for twenty minutes; then knead the dough for eight to ten minutes until it is smooth and springs back when you press it. Let it rise for an hour, shape it into a loaf, and let it rise again for forty minutes. Bake at 230 °C for 15 minutes, then at 200 °C for another 20. The loaf is done when it sounds hollow if you knock on the bottom. Wait until it is cool before cutting it (nobody ever does).

How to change a bicycle tube
1. Turn the bicycle upside down and open the quick release of the wheel.
2. Let out what air is left. Push one side of the tyre over the rim with two levers, about ten centimetres apart.
3. Pull out the old tube. Feel the inside of the tyre carefully with your fingers: whatever made the hole may still be there.
4. Pump a little air into the new tube, just enough to give it a shape, and put the valve through the hole in the rim.
5. Press the tyre back with your thumbs. Do not use the levers for this; they pinch the tube.
6. Inflate it to the pressure that is printed on the side, e.g. 4.5 bar (65 psi).

Shopping list:
- milk (2 litres)
- eggs, a dozen
- 3 onions, 1 head of garlic
- rice or noodles, whichever is cheaper
- batteries (AA), light bulb for the hall
- something nice for Grandma's birthday!!

Dear Ms Albright,

Thank you for your letter of 14 February. I am sorry to hear that the second parcel has not arrived either. According to the carrier it was delivered on the 9th and signed for by a person named "Rex", whom I understand from your letter to be a dog. We have today sent a replacement by registered post, free of charge; you will find the tracking number below. Should there be any further difficulty, please do not hesitate to call me on 555-0142 between nine and five.

Yours sincerely,
Jonathan Okafor
Customer Service

Hi team,

quick summary of this morning's meeting:
* the release moves to Thursday (was: Tuesday), because the migration needs two more days of testing
* Priya takes over the dashboard from Sam, who is on leave until 3 May
* we agreed NOT to support version 1.x any longer; please tell your customers
* open question: who pays for the extra servers? I'd say we do, but let's talk about it on Monday

Thanks everybody, and happy birthday Ana :-)
M.

The city council voted 7 to 4 on Tuesday night to close Harbour Street to cars for a trial period of six months, beginning on 1 June. Supporters said that the measure would make the waterfront safer for children and quieter for residents; opponents, among them several shop owners, fear that customers will stay away. "We're not against trees," said Dolores Quintero, who has run a hardware store on the corner for 31 years. "But nobody carries a sack of cement home on the tram." The council will publish figures on traffic, noise and sales every month, and decide in December.

Scientists have long wondered why some birds sing at night. A team that followed 212 robins for three years now reports that the answer may be simpler than expected: those that live near street lamps do so to avoid the noise of the day. Where traffic was light, fewer than 5% of the males sang after midnight; near main roads it was 38%. The light itself seemed to make little difference. "We thought that they were confused," one of the authors said. "It turns out they are just polite."

Q: What is the difference between weather and climate?
A: Weather is what happens in the atmosphere at a given time and place: rain this afternoon, frost tonight. Climate is the statistics of weather over decades: how often it rains in April, how cold an average January is, how rare a flood like last year's. A common way to put it: climate is what you expect, weather is what you get.

Q: Why is the sky blue?
A: Because air scatters short wavelengths much more strongly than long ones (the intensity goes with the inverse fourth power of the wavelength), so that blue light reaches our eyes from all directions. At sunset the light has come such a long way through the air that most of the blue has been scattered out of it, and what is left is orange and red.

Q: Is a tomato a fruit or a vegetable?
A: Both. Botanically it is a berry, since it develops from the ovary of a flower and contains seeds; in the kitchen, and in some customs laws, it is a vegetable.

User: Can you help me plan a weekend in Lisbon? I like old things and I hate queues.
Assistant: Gladly! Here is a plan for two days. On Saturday, start early in Alfama, the oldest quarter, and walk uphill to the castle walls for the view (the garden outside costs nothing and has no queue). Have lunch in one of the small places behind the cathedral, and spend the afternoon in the tile museum, which is a little outside and rarely crowded. On Sunday, take the tram to Belém before nine, see the monastery's cloister as soon as it opens, and come back along the river. Would you like suggestions for dinner as well?
User: Yes please, but nothing with pork.
Assistant: Of course. Grilled sardines or octopus with olive oil are easy to find, and there are several good Goan and Mozambican restaurants near Martim Moniz where chicken and vegetables are at the centre of the menu. Booking is wise on Saturdays.

If a train leaves at 14:35 and the journey takes 2 hours and 48 minutes, it arrives at 17:23. If it is 12 minutes late, it arrives at 17:35, and the connection at 17:31 is lost.

Let f(x) = x^2 - 4x + 3. Its roots are x = 1 and x = 3, since (x - 1)(x - 3) = x^2 - 4x + 3. The derivative f'(x) = 2x - 4 vanishes at x = 2, where f has its minimum, f(2) = -1. The area between the curve and the axis from 1 to 3 is therefore 4/3.

Theorem. There are infinitely many primes. Proof. Suppose that p1, p2, ..., pn were all of them, and consider N = p1 * p2 * ... * pn + 1. None of the p's divides N, because each leaves the remainder 1. But N > 1 has some prime divisor, which is thus not in the list. This is a contradiction, and so no finite list is complete.

A box holds 5 red, 3 green and 2 blue marbles. The probability of drawing two red ones in a row without putting the first back is 5/10 * 4/9 = 20/90 = 2/9, or about 22.2 %.

Year    Visitors    Change
2016       48,120        -
2017       51,004     +6.0%
2018       50,377     -1.2%
2019       57,930    +15.0%
2020        9,845    -83.0%
2021       22,618   +129.7%
2022       49,271   +117.8%

| planet  | radius (km) | day (h) | moons |
|---------|------------:|--------:|------:|
| Mercury |       2,440 |  4222.6 |     0 |
| Venus   |       6,052 |  2802.0 |     0 |
| Earth   |       6,371 |    24.0 |     1 |
| Mars    |       3,390 |    24.7 |     2 |
| Jupiter |      69,911 |     9.9 |    95 |

def merge_sorted(left, right):
    """Merge two sorted lists into one."""
    result = []
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i] <= right[j]:
            result.append(left[i])
            i += 1
        else:
            result.append(right[j])
            j += 1
    return result + left[i:] + right[j:]


class Account:
    def __init__(self, owner, balance=0.0):
        self.owner = owner
        self.balance = balance

    def withdraw(self, amount):
        if amount > self.balance:
            raise ValueError(f"{self.owner} has only {self.balance:.2f}")
        self.balance -= amount
        return self.balance

export async function fetchJson(url, { retries = 3, delay = 200 } = {}) {
  for (let attempt = 0; ; attempt++) {
    try {
      const response = await fetch(url, { headers: { accept: 'application/json' } });
      if (!response.ok) throw new Error(response.status + ' ' + response.statusText);
      return await response.json();
    } catch (error) {
      if (attempt >= retries) throw error;
      await new Promise((resolve) => setTimeout(resolve, delay * 2 ** attempt));
    }
  }
}

#include <stdio.h>
#include <stdlib.h>

/* Count the words on standard input. */
int main(void) {
    int c, inside = 0;
    long words = 0;
    while ((c = getchar()) != EOF) {
        int space = (c == ' ' || c == '\\t' || c == '\\n');
        if (!space && !inside) words++;
        inside = !space;
    }
    printf("%ld\\n", words);
    return EXIT_SUCCESS;
}

SELECT c.name, COUNT(o.id) AS orders, ROUND(SUM(o.total), 2) AS revenue
FROM customers AS c
LEFT JOIN orders AS o ON o.customer_id = c.id AND o.created_at >= '2023-01-01'
GROUP BY c.name
HAVING COUNT(o.id) > 5
ORDER BY revenue DESC
LIMIT 20;

<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>Tide table</title>
    <style>td { padding: 0 1em; text-align: right; }</style>
  </head>
  <body>
    <h1>Tides at the old pier</h1>
    <p>All times are <em>local</em>. See <a href="/about.html">about</a>.</p>
  </body>
</html>

{
  "name": "weather-station",
  "version": "2.1.0",
  "sensors": [
    { "id": 17, "kind": "temperature", "unit": "C", "values": [11.2, 11.4, 11.9, 12.7] },
    { "id": 18, "kind": "wind", "unit": "m/s", "values": [3.1, 2.8, null, 4.0] }
  ],
  "online": true
}

$ git switch -c fix/typo
$ sed -i 's/recieve/receive/g' docs/*.md && git diff --stat
 docs/guide.md | 4 ++--
 docs/setup.md | 2 +-
 2 files changed, 3 insertions(+), 3 deletions(-)
$ git commit -am "Spell receive" && git push -u origin HEAD

Traceback (most recent call last):
  File "report.py", line 42, in <module>
    total = sum(row["amount"] for row in rows)
TypeError: unsupported operand type(s) for +: 'int' and 'str'

## Installation

The package needs version 18 or newer. Install it with your package manager, then run the setup once:

    npm install --save-dev tidy-things
    npx tidy-things init

Options are read from \`tidy.config.json\` in the current folder. The most useful ones are **indent** (default 2), *quotes* (\`single\` or \`double\`) and **ignore**, a list of patterns. See [the reference](docs/reference.md) for the rest.

Das Dorf lag so tief im Tal, dass die Sonne im Winter erst gegen elf Uhr über den Berg kam und um halb drei schon wieder verschwand. Die Kinder nannten diese Stunden den kurzen Tag. Dann liefen alle hinaus, auch die Alten, und stellten sich an die Südwand der Kirche, wo der Schnee zuerst schmolz. „Früher war es wärmer“, sagte der Müller jedes Jahr, und jedes Jahr antwortete ihm seine Frau: „Früher warst du jünger.“

Il pleuvait depuis trois jours quand le facteur apporta enfin la lettre. Madame Lenoir ne l'ouvrit pas tout de suite ; elle la posa sur la table, à côté du pain, et continua d'éplucher les pommes de terre. « C'est de lui ? » demanda sa fille. « Qui veux-tu que ce soit d'autre ? » répondit-elle, et elle s'essuya les mains sans se presser, comme quelqu'un qui a déjà attendu sept ans et peut bien attendre encore cinq minutes.

El mercado abre a las seis de la mañana, cuando todavía hace fresco. Los pescadores traen las cajas desde el muelle, las vendedoras discuten los precios a gritos, y un perro viejo duerme en medio del pasillo sin que nadie lo moleste. ¿Cuánto cuestan las naranjas? Dos euros el kilo, señora, ¡y son las más dulces de toda la provincia!

La nonna diceva sempre che il segreto della salsa non sta nei pomodori ma nella pazienza: fuoco basso, pentola larga, e nessuno che solleva il coperchio ogni due minuti per vedere a che punto è.

O rio era largo e barrento, e do outro lado não se via ninguém. Esperámos a manhã inteira pelo barco. Quando chegou, já ninguém se lembrava por que razão queríamos atravessar.

De trein naar Utrecht vertrekt vandaag van spoor 7b. Reizigers naar Amersfoort kunnen beter via Hilversum gaan; daar rijden de bussen om het kwartier.

Na stacji nie było nikogo oprócz kota. Zegar pokazywał dziesięć po dwunastej, ale wszyscy wiedzieli, że stoi od wojny. Wreszcie przyjechał pociąg, krótki, o dwóch wagonach, i zabrał nas na północ.

Зимой река замерзала так крепко, что по льду ездили на санях. Дед говорил: лёд надо слушать, он всегда предупреждает. Мы не верили, пока однажды ночью не услышали, как он поёт — низко и протяжно, словно кто-то вёл смычком по самой длинной струне на свете.

Το καφενείο άνοιγε πριν ξημερώσει. Οι ψαράδες έπιναν τον καφέ τους όρθιοι, χωρίς πολλά λόγια, και κοιτούσαν τον ουρανό για να δουν αν θα βγει ο ήλιος.

Köyün tek okulunda yirmi iki öğrenci vardı. Öğretmen her sabah sobayı kendisi yakar, sonra kapıyı açıp çocukları beklerdi. Bugün kar yüzünden yalnız beş kişi gelebildi.

从前有一座山，山上有一座小庙，庙里住着一个老和尚和一个小和尚。每天早上，小和尚要走三里路去河边挑水。有一天他问师父：“为什么我们不在庙里挖一口井呢？”老和尚笑了笑，说：“井里的水，是不会告诉你河边发生了什么事的。”

駅前の古い喫茶店は、来月で閉店するそうだ。店主は八十二歳で、四十年間、毎朝五時に起きて豆を焼いてきた。「もう十分です」と彼は言った。「でも、最後の日には、いらっしゃった方みんなに一杯ごちそうしますよ。」

할머니는 비가 오는 날이면 언제나 부침개를 부치셨다. 기름 냄새가 골목까지 퍼지면 이웃집 아이들이 하나둘 모여들었고, 우리는 마루에 앉아 빗소리를 들으며 뜨거운 부침개를 호호 불어 먹었다.

كان في المدينة القديمة بائع كتب لا يبيع كتابا إلا بعد أن يسأل المشتري لماذا يريده. قال له رجل ذات يوم: «أريده لأنه رخيص». فأعاد البائع الكتاب إلى الرف وقال: «إذن لن تقرأه».

एक छोटे से गाँव में एक बूढ़ा कुम्हार रहता था। वह हर सुबह नदी से मिट्टी लाता और शाम तक घड़े बनाता। जब लोग पूछते कि उसके घड़े इतने मज़बूत क्यों हैं, तो वह हँसकर कहता, "मिट्टी को जल्दी नहीं होती।"

Ben was five years old and he wanted to be a pirate. He made a hat out of paper and a sword out of a stick. His cat, Molly, was the crew. "Today we sail to the island of the sofa," said Ben. Molly yawned. They climbed into the big box, which was the ship, and Ben shouted, "Left! Right! A storm!" He shook the box so hard that it fell over. Ben bumped his knee and it hurt. Mom came and kissed it. "Even brave pirates get hurt sometimes," she said. "Would the captain like a biscuit?" The captain would. He gave half of it to his crew, because good captains share.

There was a little star that could not shine. All the other stars laughed and said, "You are too small, you will never be seen." The little star was sad and hid behind a cloud. One night a ship got lost on the sea. The waves were high, and the big stars were far away on the other side of the sky. The little star came out from behind the cloud and tried with all its might. A small, thin light fell on the water. "Look!" cried a sailor. "There is north!" And the ship came safely home. The big stars were very quiet after that.

Grandpa and Mia planted a seed. "Now we must wait," said Grandpa. Mia waited one day. She waited two days. On the third day she dug the seed up to see how it was doing. "Oh, Mia," said Grandpa, "a seed is shy. It will not grow when somebody is looking." So they put it back, and Mia promised not to look. She watered the pot every morning with her eyes closed. Most of the water went on the floor, but some of it went into the pot, and after two weeks there was a tiny green leaf.

The lighthouse keeper wrote one sentence in the log every evening, as the regulations required, and over nineteen years the sentences had become shorter. In the beginning: "Wind south-west, rising towards midnight, a three-masted vessel passed at four bells and did not answer our signal." Later: "Wind SW. One ship." In the last volume there are pages on which the entry consists of a single word, and for most of the year 1911 that word is "Fog".

Nobody could say afterwards who had started the argument about the piano. It had stood in the hall of the boarding house since before the war, out of tune, with a ring on the lid where somebody had once put down a hot teapot, and for as long as any of them could remember it had been used for nothing but laying the newspapers on. Then Mr Pettifer proposed to sell it, and it turned out that there was not one among the eleven lodgers who did not, in some secret and obstinate way, intend to learn to play.

Memory is not a recording. Each time we recall an event, the brain rebuilds it from fragments, and the result is stored again together with whatever was added in the process. That is why witnesses can be sincere, confident and wrong. In a well-known series of experiments, people who had watched a film of a car accident estimated the speed to be higher when they were asked how fast the cars were going when they "smashed into" each other than when the verb was "hit"; a week later they were also more likely to remember broken glass, although there had been none.

A contract is formed when one party makes an offer and the other accepts it, provided that both intend to be bound and that something of value is exchanged. Silence is, as a rule, not acceptance. The offer may be withdrawn at any time before it has been accepted, unless the offeror has promised, for consideration, to keep it open. Where the terms of the acceptance differ from those of the offer, it counts as a counter-offer, and the original offer lapses.

The patient, a 54-year-old man, presented with a three-week history of fatigue and shortness of breath on exertion. Blood pressure was 142/88 mmHg, pulse 96 and regular. Haemoglobin was 8.1 g/dl with a mean corpuscular volume of 71 fl; ferritin was low. Endoscopy showed a small ulcer of the duodenum. He was treated with iron by mouth and a proton-pump inhibitor, and after eight weeks the blood count had returned to normal.

The rules of the game are simple. Each player gets seven cards; the rest form the stock, whose top card is turned over. In your turn you may play a card of the same suit or the same rank as the one on the table. If you cannot, you draw one. An eight may be played at any time, and whoever plays it names the suit that comes next. The first to get rid of all cards wins, and the others count what is left in their hands: face cards ten, eights fifty, all others their value.

Most stars do not live alone. More than half of those like the Sun have a companion, and the two circle their common centre of mass in anything from hours to hundreds of thousands of years. If they are close enough, the more massive one, having swollen into a giant, spills gas onto the other, and the roles are exchanged: the donor becomes a small white dwarf, the receiver a bright blue star that looks far younger than it is. Astronomers call the result a blue straggler.

A hash table stores pairs of keys and values in an array. The position of a pair is computed from its key by a hash function; when two keys are sent to the same place, one of them has to move (open addressing) or both share a list (chaining). As long as the table is not too full, insertion, look-up and removal take constant time on average, which is why hash tables sit at the heart of compilers, databases and interpreters. In the worst case everything collides, and the structure degenerates into a slow list.

Gardening in April: sow carrots, peas and radishes outside as soon as the soil is dry enough to crumble in the hand. Start tomatoes and peppers indoors, on a bright windowsill, at 20 to 24 degrees. Cut back lavender lightly, but never into the old wood. Divide perennials that have grown bare in the middle, and give roses a handful of compost. Beware of slugs: they like young lettuce as much as you do, and they get up earlier.

Terms used in this report: "the Company" means Northwind Shipping Ltd.; "the Period" means the twelve months that ended on 31 March 2019; amounts are in thousands of pounds unless otherwise stated. Revenue in the Period was 18,204 (2018: 16,977). Operating costs rose by 4.1% to 15,630, mainly because of fuel. After interest of 412 and tax of 398, the profit for the year was 1,764. The directors recommend a dividend of 3.5p per share.

Two roads lead from the village to the lake. The one through the forest is shorter, but in spring it is so muddy that even the postman, who is not a man to be stopped by mud, goes round by the mill. The other one follows the railway. It is flat and dull, and there is a café halfway; so that on the whole, as my aunt used to say, it is the quicker of the two if you count from the moment at which you begin to enjoy yourself.

- What did you do at school today?
- Nothing.
- All day?
- In the afternoon we did nothing with Mrs Novak.
- And was it interesting?
- Yes! We did nothing about volcanoes.

It was the third time that week that the lift had stopped between the fourth floor and the fifth, and by now the tenants had a system. Mrs Abara brought out the folding chairs. The student from 5C passed a thermos through the gap at the top of the door. Inside, Mr Lindqvist, who was eighty and claustrophobic, told the story of his escape across the frozen sea, for which he needed about as long as the mechanic needed to come from the other side of town; and if the mechanic was early, they asked him, through the door, to wait.

"Objection," said the lawyer.
"To what?" asked the judge. "Nobody has said anything yet."
"I wanted to be first, your Honour."`;
