"""Given and family names of many languages, to tell columns of persons from columns of groups.

Names that are also places, months, colours, makers or English words are left out: Charlotte,
Austin, Jan, Brown, Carl. A column is taken for one of persons by the share of its distinct values
with a name, never by one cell.
"""

import re

import polars as pl

from medtransfer.tables.values.folding import plain_word

_GIVEN = """
    aaron abigail adam adele adrian agnes alan albert alejandro alessandra alessandro alexander
    alexis alfonso alfred alice alicia alison allison amanda amelia amy andrea andreas andrew
    andrzej angela anita anja anke ann anna anne annette annika antoine antonia antonio arthur
    astrid audrey barbara beatrice beatriz benjamin bernd bernhard bettina birgit björn brigitte
    bruno camille carla carlos carolin carolina caroline caterina catherine cecilia chantal
    charles chiara christa christina christine christoph christopher claire clara claudia claudio
    corinne cristina cynthia dagmar daniel daniela daniele danielle david deborah denise dennis
    diane dieter dimitri dirk dominik dominique donald donna dorothea dorota eduardo edward elena
    eleonora elisa elisabeth elizabeth elke ella ellen emanuele emily emma enrico enrique eric
    erica erich erik erika ernst esther eugen eva evelyn ewa fabian fabienne fabio federica
    federico felix fernando filip florian francesca francesco francisco françoise frédéric
    friedrich gabriel gabriela gabriele gary georg george gerald gerhard gertrud gianluca giorgio
    giovanna giovanni giulia giuseppe gonzalo grażyna gregor gregory grzegorz guido guillermo
    gustavo hannah hanna hans harald harold heather heidi heike heinrich heinz helen helena helene
    helga helmut henri henrik henry herbert hermann horst hubert hugo ignacio ines inge ingrid
    irene irina isabel isabella isabelle ivan jacek jacob jacqueline jacques jakub james jane
    janina jasmin javier jean jeffrey jennifer jens jerzy jessica joachim joanna jochen johan
    johanna johannes john jonas jonathan jorge josé josef josefine joseph joshua juan juana judith
    julia julian julie juliette jürgen justine karen karla karin karl karolina katarina katarzyna
    katharina katherine kathleen kathrin katja katrin kenneth kerstin kevin klaus konrad krzysztof
    kurt larissa larry lars laura laurent lena leon leonard leonie lisa lothar louise luc luca
    lucas lucia lucía ludwig luis luise lukas lukasz łukasz maciej magdalena malgorzata małgorzata
    manfred manuel manuela marcel marcin marco marcus margaret margarete margit maria maría
    marianne marie marina mario marion marius markus marta martha martin martina mary mateusz
    mathias mathieu mathilde matteo matthew matthias matthieu maurice mauricio maximilian melanie
    melissa michael michał michel michele michelle miguel mikael miriam monica monika monique
    nadine nancy natalia natalie nathalie nathan nicholas nico nicola nicolas nicole niklas nina
    norbert olaf oliver olivier oscar oskar otto pablo pamela paola paolo pascal patricia patrick
    patrizia paul paula paulina pauline pawel paweł pedro peter petra philipp philippe pierre
    pietro piotr rachel rafael rainer ralf ramón raphael raymond rebecca regine reinhard renate
    renée ricardo riccardo richard robert roberta roberto roland rolf ronald rosa rosemarie rudolf
    russell ruth ryan sabine sabrina samantha samuel sandra sarah saskia scott sebastian sergio
    silke silvia simone sonja sophia sophie stefan stefanie stefano stephanie stephan stephen
    steven susan susana susanne svenja sylvia sylvie tanja tatjana teresa theodor theresa thérèse
    thomas thorsten tiago tobias tomasz torsten ulrich ulrike ursula ute valentina valeria valérie
    vanessa vera verena veronika véronique vincent vincenzo volker waltraud werner wilhelm william
    wojciech wolfgang xavier yvonne yves zbigniew zofia zuzanna anders bjørn elin emil gunnar
    håkan jesper karl-erik kirsten lennart linnea magnus mette mikkel morten niels ole pernille
    rasmus sigrid søren sven torbjörn cornelis femke gerrit hendrik jeroen joost maarten marieke
    pieter sander sanne willem wouter ahmet ayşe burak elif emine emre fatma hakan hasan hüseyin
    ibrahim kemal mehmet murat mustafa osman özlem selin serkan süleyman tuğba yusuf zehra zeynep
    aisha amina fatima hassan hussein jamal karim khadija khaled layla mahmoud mohamed mohammed
    muhammad nadia noor omar rashid salma samira yasmin youssef alexei aleksandr alexey anastasia
    andrei boris dmitri dmitry ekaterina galina igor konstantin ksenia larisa lidia ludmila
    mikhail natalya nikolai oksana oleg olga pavel sergei sergey svetlana tatiana tatyana vladimir
    yulia yuri aarav aditi amit ananya anil anjali arjun deepak divya gita kavita lakshmi manoj
    meena neha nisha pooja pradeep priya rahul rajesh rakesh ravi rohit sanjay sunita suresh vijay
    vikram akira ayumi daisuke haruka hiroshi kaori kenji makoto masashi naoko sakura satoshi
    takashi takeshi tomoko yoko yuki yumiko minjun jisoo soojin hyunwoo xiaoming xiaohong jianguo
    weiwei meiling nguyen thanh phuong huong linh александр алексей анастасия андрей анна борис
    валентина виктор виктория владимир галина дмитрий екатерина елена иван игорь ирина константин
    ксения лариса людмила марина мария михаил надежда наталья николай оксана олег ольга павел
    светлана сергей татьяна юлия юрий αθανάσιος αικατερίνη αναστασία βασίλης γεώργιος δημήτρης
    ελένη ιωάννης κωνσταντίνος μαρία νικόλαος παναγιώτης σοφία محمد أحمد فاطمة علي حسن حسين خالد
    مريم يوسف إبراهيم
"""
_FAMILY = """
    müller mueller schmidt schmitt schneider fischer weber meyer meier maier mayer wagner schulz
    schulze hoffmann hofmann schäfer schaefer bauer schröder schroeder neumann zimmermann krüger
    krueger hartmann krause lehmann schmid werner köhler herrmann walter huber fuchs scholz keller
    günther friedrich schubert berger winkler lorenz baumann franke albrecht schuster simon ludwig
    böhm schumacher krämer vogt jäger otto seidel heinrich brandt haas schreiber dietrich ziegler
    kühn pohl bergmann thomas voigt mustermann smith johnson williams jones miller davis wilson
    anderson taylor thompson martinez robinson rodriguez lewis wright hernandez lopez adams
    gonzalez nelson mitchell perez roberts turner phillips campbell evans edwards collins stewart
    sanchez rogers murphy richardson ramirez peterson watson bennett brooks kelly sanders hughes
    patterson griffin diaz hayes myers graham sullivan wallace reynolds doe garcía garcia
    fernández fernandez gonzález rodríguez lópez martínez sánchez pérez gómez gomez martín jiménez
    jimenez ruiz hernández díaz muñoz munoz álvarez alvarez romero gutiérrez navarro torres
    domínguez vázquez vazquez ramos morales suárez ortega delgado ortiz marín sanz núñez iglesias
    medina garrido rossi russo ferrari esposito bianchi romano colombo ricci marino greco bruno
    conti mancini giordano rizzo lombardi moretti barbieri fontana santoro mariani rinaldi caruso
    ferrara martin bernard dubois durand moreau laurent lefebvre leroy roux dupont lambert bonnet
    fontaine rousseau blanchard garnier chevalier legrand gauthier perrin morel girard andré
    mercier silva santos oliveira souza rodrigues ferreira alves pereira gomes ribeiro carvalho
    almeida lopes soares fernandes vieira barbosa nascimento andrade moreira nunes marques jansen
    janssen devries bakker visser smit meijer mulder bos vos peters hendriks dekker nowak kowalski
    kowalska wiśniewski wójcik kowalczyk kamiński lewandowski zieliński szymański woźniak
    dąbrowski kozłowski jankowski mazur kwiatkowski krawczyk kaczmarek piotrowski yılmaz demir
    çelik şahin öztürk aydın özdemir arslan doğan çetin hansen johansen olsen larsen andersen
    pedersen nilsen kristiansen jensen karlsen johnsen pettersen eriksen andersson johansson
    karlsson nilsson eriksson larsson olsson persson svensson gustafsson nielsen christensen
    rasmussen sørensen jørgensen korhonen virtanen mäkinen nieminen ivanov ivanova petrov petrova
    smirnov smirnova kuznetsov popov sokolov lebedev kozlov novikov иванов иванова петров петрова
    смирнов смирнова кузнецов кузнецова попов попова соколов лебедев novák nováková svoboda dvořák
    černý horvat kovačević popescu ionescu nagy kovács tóth szabó patel singh kumar sharma gupta
    khan ahmed hussain rao reddy iyer mehta shah wang zhang chen yang zhao huang zhou zhu lin
    tanaka suzuki sato satō takahashi watanabe ito yamamoto nakamura kobayashi kato yoshida yamada
    sasaki yamaguchi matsumoto kim choi tran pham hoang huynh phan dang bui ngo papadopoulos
    papadopoulou nikolaidis παπαδόπουλος cohen levi mizrahi obrien oconnor oneill osullivan odonnell
    dangelo damico dambrosio cruz reyes flores mendoza rojas vargas castillo
"""
NAMES = frozenset(plain_word(name) for name in (_GIVEN + _FAMILY).split())
LOGINS = frozenset(word for word in map(plain_word, _FAMILY.split()) if len(word) >= 5)
"""Family names that are told behind an initial, as in ``jsmith``."""
_INSTITUTIONS = """
    hospital hospitals clinic clinics klinik kliniken klinikum krankenhaus uniklinik spital
    spitäler hôpital hôpitaux clinique centre center zentrum centrum centro ospedale policlinico
    clínica ziekenhuis umc szpital hastane hastanesi universität university université universidad
    università institute institut instituto istituto college foundation fondation stiftung health
    healthcare medical imaging radiology radiologie praxis mvz gmbh inc ltd llc corp corporation
    company systems st saint sankt santo santa san são trust nhs school department ward street
    city county state district region province north south east west nord süd ost zeiss
"""
INSTITUTIONS = frozenset(plain_word(word) for word in _INSTITUTIONS.split())
"""Words beside which a name is one of a hospital, a place or a maker."""
EAST_ASIAN = (
    r"^[王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮许許邓鄧曹彭曾田"
    r"佐鈴渡伊山中小加吉斎松木清][\p{Han}]{1,3}$|^[김이박최정강조윤장임한오서신권황안송전홍][\p{Hangul}]{2}$"
)
"""Chinese, Japanese and Korean names: a frequent family name and one to three more characters."""
_JAPANESE = """
    佐藤 鈴木 高橋 田中 伊藤 渡辺 渡邊 渡邉 山本 中村 小林 加藤 吉田 山田 佐々木 井上 木村 斎藤 齋藤
    斉藤 山崎 池田 橋本 阿部 前田 藤田 後藤 小川 岡田 長谷川 村上 近藤 石井 坂本 遠藤 青木 藤井 西村
    福田 三浦 岡本 松田 中島 原田 小野 竹内 金子 和田 中山 石田 森田 柴田 酒井 工藤 横山 宮本
    内田 高木 安藤
"""
_CHINESE = (
    "伟|偉|芳|娜|敏|静|靜|丽|麗|强|強|磊|军|軍|洋|勇|艳|艷|杰|娟|涛|濤|超|霞|刚|剛|婷|婷婷|鹏|鵬|"
    "飞|飛|辉|輝|俊|琳|梅|玲|鑫|斌|浩|凯|凱|倩|颖|穎|莉|萍|燕|小明|小红|建国|建國|建华|建華|建军|建軍|秀英|秀兰|"
    "秀蘭|桂英|桂兰|志强|志強|志明|晓明|玉兰|玉梅|海燕|淑珍|国强|國強|丽华|麗華|美玲|雅婷|家豪"
)
_KOREAN = (
    "민수|영희|철수|지훈|서연|민준|지영|현우|수진|은지|지은|동현|성민|재현|준호|미영|영수|정희|영숙|경희|"
    "은영|미숙|순자|영자|정숙|명숙|상훈|성호|영호|정호|지현|지혜|수빈|예진|하은|서준|도윤"
)
KNOWN_EAST_ASIAN = re.compile(
    rf"(?:{'|'.join(_JAPANESE.split())})[ぁ-んァ-ヶ一-龯々]{{0,3}}"
    rf"|[王李张張刘劉陈陳杨楊赵趙黄黃周吴吳徐孙孫胡朱林何郭马馬罗羅梁宋郑鄭谢謝韩韓唐冯馮许許邓鄧曹彭]"
    rf"(?:{_CHINESE})|[김이박최정강조윤장임한오서신권황안송전홍](?:{_KOREAN})"
)
"""Japanese family names with what may follow, and Chinese and Korean full names, all frequent."""
EAST_ASIAN_PLACES = re.compile(
    "病院|医院|醫院|診療|大学|大學|学院|센터|병원|科$|部$|室$|市$|県$|区$|町$"
)
TWO_WORDS = (
    r"^\p{Lu}[\p{L}'’.-]*,?(?:\s+(?:von|van|de|der|den|del|della|di|da|dos|la|le|el|al|bin|ben))*"
    r"(?:\s+\p{Lu}[\p{L}'’.-]*){1,3}$"
)
"""Two to four words in capitals: the shape of a name, and of many groups."""
MIN_NAMED = 0.3
"""Share of distinct values with a known name from which they are persons."""
MIN_SHAPED = 0.8
"""Share of distinct values in the shape of a name, without a known one."""
MIN_DISTINCT = 0.3
"""Share of the filled cells that are distinct: groups repeat, persons hardly do."""
FEW = 10
"""Fewer distinct values of the mere shape of a name are not judged."""


def is_person(text: str) -> bool:
    """True if a text holds a known name of a person and no word of an institution."""
    joined = "".join(text.split())
    if KNOWN_EAST_ASIAN.fullmatch(joined):
        return EAST_ASIAN_PLACES.search(joined) is None
    words = {*_words(text)}
    is_login = len(words) == 1 and next(iter(words))[1:] in LOGINS
    is_named = is_login or any(word in NAMES for word in words)
    return is_named and INSTITUTIONS.isdisjoint(words)


def are_persons(filled: pl.Series) -> bool:
    """True if the cells of a text column look like names of persons.

    Args:
        filled: Cells without nulls. [N]
    """
    values = filled.unique()
    if len(values) < 2:
        return False
    words = [_words(value) for value in values.to_list()]
    named = sum(is_person(value) for value in values.to_list())
    if named >= 2 and named >= MIN_NAMED * len(values):
        return True
    if len(values) < max(FEW, MIN_DISTINCT * len(filled)):
        return False
    shaped = values.str.contains(TWO_WORDS).fill_null(value=False).to_list()
    plain = sum(s and not INSTITUTIONS & {*ws} for s, ws in zip(shaped, words, strict=True))
    east_asian = int(values.str.contains(EAST_ASIAN).sum())
    return max(plain, east_asian) >= MIN_SHAPED * len(values)


def _words(value: str) -> list[str]:
    """The words of a cell, folded; none if it holds a digit or is longer than a name."""
    value = re.sub("['’]", "", value)  # O'Brien, D’Angelo
    words = [plain_word(word) for word in re.split(r"[\s,;/^_.]+", value) if word]
    if len(words) > 6 or any(c.isdigit() for c in value):
        return []
    parts = [part for word in words for part in (word, *word.split("-"))]
    return [part for part in parts if len(part) > 1]
